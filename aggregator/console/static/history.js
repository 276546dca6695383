'use strict';
// The last 24 hours on a card: the gate as a band, power and gusts as lines. And
// charts over a day, a week, a month or a year.

const strips = new Map(); // by site/id: the answer, and when it was asked for
const stripAge = 60000;
let asking = false;

async function ask(path) {
  const r = await fetch('api/v1/' + path);
  const body = await r.json();
  if (!r.ok) throw new Error(body.error || r.statusText);
  return body;
}

// stripsFor asks for the strips of the cards that are shown, all in one question.
async function stripsFor(names, done) {
  const due = names.filter(n => !(strips.get(n) && Date.now() - strips.get(n).at < stripAge)).slice(0, 60);
  if (asking || lost || !due.length) return;
  asking = true;
  for (const n of due) strips.set(n, { at: Date.now(), strip: strips.get(n) && strips.get(n).strip });
  try {
    const a = await ask('strips?' + due.map(n => 'of=' + encodeURIComponent(n)).join('&'));
    for (const s of a.strips) strips.set(s.site + '/' + s.id, { at: Date.now(), strip: s });
    done();
  } catch {
    // The page's own line says when the server is gone; cards stand without strips.
  } finally {
    asking = false;
  }
}

const gateWords = { o: 'open', c: 'closed', m: 'partly open', u: 'not known', '-': 'nothing heard' };

function runs(gate) {
  const out = [];
  for (let i = 0; i < gate.length; i++) {
    if (out.length && out[out.length - 1].state === gate[i]) out[out.length - 1].n++;
    else out.push({ state: gate[i], from: i, n: 1 });
  }
  return out;
}

function line(values, top, w, y, h, cls) {
  let d = '', pen = false;
  values.forEach((v, i) => {
    if (v === null || v === undefined) { pen = false; return; }
    const px = ((i + 0.5) * w / values.length).toFixed(1), py = (y + h - Math.max(0, Math.min(1, v / top)) * h).toFixed(1);
    d += pen ? `L${px} ${py}` : `M${px} ${py}h.01`;
    pen = true;
  });
  return d ? svg('path', { class: cls, d }) : '';
}

const highest = values => Math.max(...values.filter(v => v !== null && v !== undefined), -Infinity);

function stripSummary(s) {
  const known = s.open_s + s.closed_s, p = highest(s.power_w), g = highest(s.gust_mps);
  const parts = [known ? `gate open ${Math.round(100 * s.open_s / known)} % of the time known` : 'the gate is not known yet'];
  if (p > -Infinity) parts.push(`about ${energy(s.energy_wh)}, ${watts(p)} at most`);
  if (g > -Infinity) parts.push(`gusts up to ${g.toFixed(1)} m/s`);
  return 'Last 24 h: ' + parts.join('; ') + '.';
}

function stripPicture(s) {
  const w = 300, n = s.gate.length, cell = w / n;
  const top = Math.max(highest(s.power_w), 1), gusts = Math.max(highest(s.gust_mps), 25);
  const from = new Date(s.from_s * 1000), marks = [];
  for (let t = new Date(from).setHours(from.getHours() + 1, 0, 0, 0); t < from.getTime() + n * s.step_s * 1000; t += 3600e3) {
    if (new Date(t).getHours() % 6 === 0) marks.push(t);
  }
  const x = t => ((t - s.from_s * 1000) / (n * s.step_s * 1000) * w).toFixed(1);
  return svg('svg', { class: 'strip', viewBox: `0 0 ${w} 62`, role: 'img', 'aria-label': stripSummary(s) },
    ...runs(s.gate).map(r => svg('rect', { class: 'g-' + (r.state === '-' ? 'n' : r.state), x: (r.from * cell).toFixed(1), y: 0, width: (r.n * cell).toFixed(1), height: 9 },
      svg('title', {}, document.createTextNode(`${moment((s.from_s + r.from * s.step_s) * 1000)}: ${gateWords[r.state] || ''}`)))),
    ...marks.map(t => svg('path', { class: 'hour', d: `M${x(t)} 11V48` })),
    line(s.gust_mps, gusts, w, 13, 34, 'gust'), line(s.power_w, top, w, 13, 34, 'power'),
    ...marks.map(t => svg('text', { x: x(t), y: 59, 'text-anchor': x(t) < 12 ? 'start' : x(t) > w - 12 ? 'end' : 'middle' }, document.createTextNode(hour.format(t)))));
}

function strip(name) {
  const known = strips.get(name), s = known && known.strip;
  if (!s) return el('div', { class: 'strip empty-strip small muted' }, known ? 'No history is kept here yet.' : '');
  return el('figure', { class: 'day' }, stripPicture(s), el('figcaption', { class: 'small muted' }, stripSummary(s)));
}

// A chart of one channel or two, by uPlot. Its colours are those of the page.
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const charts = [];
function chart(box, title, times, rows, height, says) {
  const axis = { stroke: colour('--muted'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line'), width: 1 }, font: '12px system-ui, sans-serif' };
  const plot = new uPlot({
    title, width: Math.max(240, box.clientWidth - 14), height, cursor: { sync: { key: 'history' } },
    scales: { y: { range: (u, lo, hi) => [Math.min(0, lo === null ? 0 : lo), hi === null || hi <= 0 ? 1 : hi * 1.08] } },
    axes: [{ ...axis, values: (u, at) => at.map(t => says.format(t * 1000)) }, { ...axis, size: 46 }],
    series: [{ label: 'time', value: (u, t) => (t === null || t === undefined ? '–' : moment(t * 1000)) },
      ...rows.map(r => ({ label: r.label, stroke: colour(r.colour), width: 1.5, spanGaps: false, paths: r.step ? uPlot.paths.stepped({ align: 1 }) : undefined,
        fill: r.fill ? colour(r.fill) : undefined, points: { size: 3 }, value: (u, v) => (v === null || v === undefined ? '–' : r.say(v)) }))],
  }, [times, ...rows.map(r => r.values)], box);
  plot.root.querySelector('canvas').setAttribute('aria-hidden', 'true');
  charts.push([plot, box]);
}

window.addEventListener('resize', () => charts.forEach(([p, box]) => box.isConnected && p.setSize({ width: Math.max(240, box.clientWidth - 14), height: p.height })));

const spanWords = { day: 'a day', week: 'a week', month: 'a month', year: 'a year' };

async function historyCharts(box, site, id, span) {
  const s = await ask(`generators/${encodeURIComponent(site)}/${encodeURIComponent(id)}/history?span=${span}`);
  charts.length = 0;
  box.replaceChildren();
  const has = v => v.some(x => x !== null);
  const known = [s.open, s.power_w, s.wind_mps, s.gust_mps, s.temperature_c].some(has);
  if (!known) {
    box.append(el('p', { class: 'empty' }, `Nothing is kept of ${spanWords[span]} yet. Values come with the agent's next telemetry; its gate is counted from now on.`));
    return;
  }
  const plain = (values, unit, digits) => ({ values, say: v => v.toFixed(digits) + ' ' + unit });
  const list = [
    ['Gate open, % of the time', [{ label: 'open', ...plain(s.open.map(v => (v === null ? null : 100 * v)), '%', 0), colour: '--ok', fill: '--ok-bg', step: true }]],
    ['Power, kW', [{ label: 'power', ...plain(s.power_w.map(v => (v === null ? null : v / 1000)), 'kW', 2), colour: '--info', fill: '--info-bg' }]],
    ['Wind, m/s', [{ label: 'gusts', ...plain(s.gust_mps, 'm/s', 1), colour: '--warn' }, { label: 'mean', ...plain(s.wind_mps, 'm/s', 1), colour: '--muted' }]],
    ['Temperature, °C', [{ label: 'air', ...plain(s.temperature_c, '°C', 1), colour: '--bad' }]],
    ['Irradiance, W/m²', [{ label: 'sun', ...plain(s.irradiance_w_per_m2, 'W/m²', 0), colour: '--warn' }]],
  ].filter(([, rows]) => rows.some(r => has(r.values)));
  const places = list.map(() => box.appendChild(el('div', { class: 'chart' }))); // all at once: each is as wide as it stays
  list.forEach(([title, rows], i) => chart(places[i], title, s.time_s, rows, 170, span === 'day' ? hour : day));
  const all = s.energy_wh.reduce((a, v) => a + (v || 0), 0);
  box.append(el('p', { class: 'small muted' }, `About ${energy(all)} in ${spanWords[span]}, of the power measured. What is paid stands on the chain, by meters.`));
}
