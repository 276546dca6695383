'use strict';
// What agents tell each other of the weather, on a map and as a list.

const svg = (tag, attrs, ...children) => {
  const e = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [k, v] of Object.entries(attrs)) e.setAttribute(k, String(v));
  e.append(...children);
  return e;
};

// The hazards of which a neighbour may have warned.
const skies = ['thunderstorm', 'wind', 'cyclone'];

// outlook is what a device's own judgement says of the sky: warned, closed or
// nothing.
function outlook(g) {
  const levels = ((g && g.hazards) || []).filter(h => skies.includes(h.kind)).map(h => h.level);
  return levels.includes('block') ? 'closed' : levels.includes('warn') ? 'warned' : '';
}

const thundered = n => n.thunder_ago_ms !== undefined && n.thunder_ago_ms <= 3 * 3600e3;
const strength = n => (n.gust_ratio >= 1.5 || thundered(n) ? 'storm' : n.gust_ratio >= 1 ? 'fresh' : '');

// saysSky puts one agent's weather into words.
function saysSky(n, look) {
  const parts = [];
  if (n.gust_ratio !== undefined) parts.push(`gusts ${n.gust_ratio.toFixed(2)} of a strong hour there`);
  if (n.pressure_change_3h_hpa !== undefined) {
    const v = n.pressure_change_3h_hpa;
    parts.push(`pressure ${v < 0 ? '↓' : v > 0 ? '↑' : '→'} ${Math.abs(v).toFixed(1)} hPa in 3 h`);
  }
  if (thundered(n)) parts.push(`thunder ${hours(n.thunder_ago_ms / 1000)} before${n.strokes_3h ? `, ${n.strokes_3h} strokes in 3 h` : ''}`);
  if (look) parts.push(look === 'warned' ? 'it is warned' : 'its gate is closed for the weather');
  return parts.join('; ') || 'nothing measured';
}

// weatherMap draws the agents where they say that they are, north up, with a scale.
function weatherMap(list, looks) {
  const lat = list.map(n => n.latitude), lon = list.map(n => n.longitude);
  const mid = (Math.min(...lat) + Math.max(...lat)) / 2, perLat = 111.2, perLon = 111.2 * Math.max(0.05, Math.cos(mid * Math.PI / 180));
  const west = Math.min(...lon), north = Math.max(...lat);
  const wide = Math.max(20, (Math.max(...lon) - west) * perLon), high = Math.max(12, (north - Math.min(...lat)) * perLat);
  const edge = 46, width = 640, px = (width - 2 * edge) / wide, height = Math.min(520, high * px) + 2 * edge;
  const shrink = Math.min(1, (height - 2 * edge) / (high * px)) * px;
  const x = n => edge + (n.longitude - west) * perLon * shrink, y = n => edge + (north - n.latitude) * perLat * shrink;
  const places = list.map(n => {
    const look = looks.get(n.site + '/' + n.id), r = 7 + 5 * Math.min(2, n.gust_ratio || 0);
    const g = svg('g', {}, svg('title', {}, document.createTextNode(`${n.id}: ${saysSky(n, look)}`)));
    if (look) g.append(svg('circle', { class: look, cx: x(n), cy: y(n), r: r + 5 }));
    g.append(svg('circle', { class: 'place ' + strength(n), cx: x(n), cy: y(n), r }));
    if (thundered(n)) g.append(svg('text', { x: x(n), y: y(n) + 4, 'text-anchor': 'middle' }, document.createTextNode('⚡')));
    g.append(svg('text', { x: x(n), y: y(n) + r + 17, 'text-anchor': 'middle' }, document.createTextNode(n.id)));
    return g;
  });
  const km = [10, 20, 50, 100, 200, 500].filter(v => v * shrink < width / 3).pop() || 10;
  const scale = svg('g', {}, svg('path', { class: 'scale', d: `M12 ${height - 14}v6h${km * shrink}v-6` }),
    svg('text', { x: 18, y: height - 14 }, document.createTextNode(`${km} km`)));
  return svg('svg', { class: 'map', viewBox: `0 0 ${width} ${height}`, role: 'img',
    'aria-label': 'Map of the agents that tell their weather; the list beside it says the same in words' }, ...places, scale);
}

function weather(n, list) {
  const senders = (n && n.senders) || [], refused = (n && n.refused) || {};
  $('weather').hidden = !senders.length && !Object.keys(refused).length;
  const looks = new Map(list.map(g => [g.site + '/' + g.id, outlook(g)]));
  show('weather-box', senders.map(s => [s, looks.get(s.site + '/' + s.id)]), () => senders.length ? [weatherMap(senders, looks),
    el('ul', { class: 'words' }, senders.map(s => el('li', {}, el('b', {}, s.id), ' ', el('span', { class: 'muted' }, s.site), ': ',
      saysSky(s, looks.get(s.site + '/' + s.id)))))] : []);
  $('weather-note').textContent = senders.length ? `${whole.format(n.count)} agents tell theirs; ${whole.format(n.handed)} nowcasts handed on. ` +
    'The size of a circle is the strength of gusts; a dashed ring is a warning, a full ring a gate closed for the weather.' : '';
  show('weather-refused', refused, r => Object.keys(r).sort().map(k => el('li', { class: 'badge warn' }, `refused ${words(k)}: ${whole.format(r[k])}`)));
  $('weather-last').textContent = n && n.last_refused ? `Refused last, ${when(n.last_refused_ms)}: ${n.last_refused}` : '';
}
