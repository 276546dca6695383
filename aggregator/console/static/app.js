'use strict';

const $ = id => document.getElementById(id);
const clock = new Intl.DateTimeFormat(undefined, { hourCycle: 'h23', hour: '2-digit', minute: '2-digit', second: '2-digit' });
const stamp = new Intl.DateTimeFormat(undefined, { year: 'numeric', month: 'short', day: 'numeric', hourCycle: 'h23', hour: '2-digit', minute: '2-digit' });
const whole = new Intl.NumberFormat();

const when = t => !t ? 'never' : Math.abs(now() - t) < 43200e3 ? clock.format(t) : stamp.format(t);
const time = t => el('time', t ? { datetime: new Date(t).toISOString(), title: stamp.format(t) } : {}, when(t));
const kwh = wh => (wh / 1000).toLocaleString(undefined, { minimumFractionDigits: 3, maximumFractionDigits: 3 });
const money = micro => (micro / 1e6).toLocaleString(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 4 });
const energy = wh => (Math.abs(wh) < 10 ? wh.toFixed(1) + ' Wh' : (wh / 1000).toLocaleString(undefined, { maximumFractionDigits: Math.abs(wh) < 1e4 ? 3 : Math.abs(wh) < 1e5 ? 1 : 0 }) + ' kWh');
const watts = w => (Math.abs(w) < 1000 ? Math.round(w) + ' W' : (w / 1000).toLocaleString(undefined, { maximumFractionDigits: 2 }) + ' kW');
const short = v => Math.abs(v) >= 1e4 ? whole.format(Math.round(v)) : String(Math.round(v * 1000) / 1000);
const words = s => String(s).replace(/_/g, ' ');

const gateLook = { OPEN: ['ok', '✔'], CLEARING: ['warn', '…'], INIT: ['warn', '…'], BLOCKED: ['bad', '✖'] };
const tradeLook = { settled: 'ok', settled_partly: 'ok', held: 'warn', disputed: 'bad', failed: 'bad', refunded: 'warn' };
const levelLook = { ok: 'ok', none: 'ok', warn: 'warn', block: 'bad' };

// show replaces an element's children only when what they show has changed, so
// that selected text and scroll positions survive.
const shown = new Map();
function show(id, value, make) {
  const key = JSON.stringify(value);
  if (shown.get(id) === key) return;
  shown.set(id, key);
  $(id).replaceChildren(...[make(value)].flat(Infinity));
}

function facts(pairs) {
  return pairs.map(([k, v]) => el('div', {}, el('dt', {}, k), el('dd', {}, v)));
}

// weatherNow says what a generator's own sensors measure, in a few words.
function weatherNow(m) {
  const parts = [];
  if (m.gust_mps !== undefined) parts.push(`gusts ${m.gust_mps.toFixed(1)} m/s`);
  else if (m.wind_mps !== undefined) parts.push(`wind ${m.wind_mps.toFixed(1)} m/s`);
  if (m.temperature_c !== undefined) parts.push(`${m.temperature_c.toFixed(0)} °C`);
  if (m.irradiance_w_per_m2 !== undefined) parts.push(`sun ${m.irradiance_w_per_m2.toFixed(0)} W/m²`);
  return parts.join(', ');
}

// numbers are power, energy, price and weather of a card. What is not known is a dash.
function numbers(g) {
  const m = lost ? {} : g.now || {}, s = (strips.get(g.site + '/' + g.id) || {}).strip;
  const made = s && s.power_w.some(v => v !== null) ? energy(s.energy_wh) : '–';
  const meters = Object.entries(m.energy_wh || {}), byMeter = m.power_w === undefined && meters.length === 1; // no sensor of power: its meter's register
  return el('dl', { class: 'now' }, [byMeter ? [`Meter ${meters[0][0]}`, energy(meters[0][1])] : ['Power', m.power_w === undefined ? '–' : watts(m.power_w)], ['Last 24 h', made],
    ['Price per kWh', g.offer ? money(g.offer.price_micro_per_kwh) : 'no offer'], ['Weather', weatherNow(m) || '–']]
    .map(([k, v]) => el('div', {}, el('dt', {}, k), el('dd', {}, v))));
}

function dearest(g) {
  const c = (g.costs || []).filter(o => o.title || o.rule).sort((a, b) => b.closed_s - a.closed_s)[0];
  return c && c.closed_s >= 60 ? `Cost most: ${c.title || c.rule}, closed for ${hours(c.closed_s)}${c.kwh ? `, ${c.kwh.toFixed(1)} kWh not sold` : ''}.` : '';
}

// outBadge says of a member that is out that it is.
function outBadge(m) {
  return m.standing && m.standing !== 'active' ? el('span', { class: 'badge bad' }, m.standing) : '';
}

function card(g) {
  const s = seen(g), own = !s.why;
  const [look, sign] = gateLook[s.state] || ['gone', '?'];
  const causes = (g.causes || []).map(c => el('li', {}, causeSentence(c)));
  const hazards = (g.hazards || []).filter(h => h.level !== 'ok' && h.level !== 'none' && h.level !== '');
  const calm = (g.hazards || []).length - hazards.length;
  const scores = Object.entries(g.scores || {}).sort((a, b) => b[1] - a[1]);
  const meters = Object.entries((g.now && g.now.energy_wh) || {});
  return el('article', { class: 'card ' + look, 'aria-label': `${g.id}: gate ${s.state}` },
    el('div', { class: 'top' },
      el('div', {}, el('h3', {}, link('generator', g.site + '/' + g.id, g.id)), el('span', { class: 'muted small' }, g.site)),
      el('div', {}, g.simulated ? el('span', { class: 'badge sim' }, 'simulated') : '', ' ', outBadge(g), ' ',
        lost ? '' : el('span', { class: 'badge ' + (g.online === 'online' ? 'ok' : g.online === 'offline' ? 'bad' : 'warn') }, g.online))),
    el('p', {}, el('span', { class: `state badge ${look}` }, `${sign} ${s.state}`)),
    own ? '' : el('p', { class: 'small' }, `It counts as blocked: ${s.why}${s.since ? ', since ' + moment(s.since) : ''}.`),
    own ? el('p', { class: 'small' }, stateSentence(g)) : '',
    own && causes.length ? el('ul', { class: 'causes', 'aria-label': 'Why' }, causes) : '',
    numbers(g),
    strip(g.site + '/' + g.id),
    dearest(g) ? el('p', { class: 'small' }, dearest(g)) : '',
    el('details', { class: 'small' }, el('summary', {}, 'More'),
      el('p', {}, own ? 'Hazards: ' : 'Last known hazards: ',
        hazards.length ? hazards.map(h => [el('span', { class: 'badge ' + (levelLook[h.level] || 'bad') }, `${words(h.kind)}: ${h.level}`), ' '])
          : el('span', {}, 'none'),
        hazards.length && calm ? el('span', { class: 'muted' }, calm === 1 ? 'all other kinds ok' : `${calm} other kinds ok`) : ''),
      scores.length ? el('div', { class: 'bars' }, el('span', { class: 'muted' }, own ? 'Network scores' : 'Last network scores'),
        scores.slice(0, 4).map(([k, p]) => el('div', {}, el('span', {}, words(k)),
          el('meter', { min: 0, max: 1, value: p, 'aria-label': `${words(k)} score` }), el('span', { class: 'num' }, p.toFixed(3))))) : '',
      meters.map(([m, wh]) => el('p', {}, `Meter ${m}: ${kwh(wh)} kWh`)),
      g.contactor ? el('p', {}, `Contactor: ${g.contactor}${g.contactor_on_chain ? `; on the chain: ${g.contactor_on_chain}` : ''}`) : '',
      (g.costs || []).length ? [el('p', {}, g.cost_since_ms ? `What rules have cost since ${moment(g.cost_since_ms)}:` : 'What rules have cost:'),
        el('ul', { class: 'costs' }, [...g.costs].sort((a, b) => b.closed_s - a.closed_s).slice(0, 8).map(c => el('li', {}, costSentence(c))))] : '',
      el('p', { class: 'muted' }, 'last seen ', time(g.last_seen_ms), g.on_chain ? `; on the chain: ${g.on_chain}` : '')));
}

// Closed gates come first, then those of which nothing is known.
const urgency = { BLOCKED: 0, OFFLINE: 1, EXPIRED: 1, UNKNOWN: 1, CLEARING: 2, INIT: 2, OPEN: 3 };
const byUrgency = list => list.map(g => [urgency[seen(g).state] ?? 1, g]).sort((a, b) => a[0] - b[0]).map(p => p[1]);
const atOnce = 40;
let most = atOnce; // cards that are shown

const cards = new Map();
function generators(list) {
  const box = $('cards'), text = $('q').value.trim().toLowerCase();
  const match = byUrgency(list).filter(g => !text || g.id.includes(text) || g.site.includes(text)), shownNow = match.slice(0, most);
  const names = shownNow.map(g => g.site + '/' + g.id), ids = new Set(names);
  for (const [id, c] of cards) if (!ids.has(id)) { c.node.remove(); cards.delete(id); }
  shownNow.forEach((g, i) => {
    const id = g.site + '/' + g.id, key = JSON.stringify([g, seen(g), (strips.get(id) || {}).at]), old = cards.get(id);
    let node = old && old.node;
    if (!old || old.key !== key) {
      node = card(g);
      if (old && old.node.querySelector('details[open]')) node.querySelector('details').open = true;
      if (old) old.node.replaceWith(node);
      cards.set(id, { key, node });
    }
    if (box.children[i] !== node) box.insertBefore(node, box.children[i] || null);
  });
  $('more').hidden = match.length <= most;
  $('more').textContent = `Show ${Math.min(atOnce, match.length - most)} more of ${match.length}`;
  const open = list.filter(g => seen(g).state === 'OPEN').length;
  $('generators-note').textContent = !list.length ? 'No agent has reported yet. Register a device (aggregator mc register), then start its agent (agent run); it appears here within seconds.'
    : `${lost ? '?' : open} of ${list.length} gates open${text ? `; ${match.length} match “${text}”` : ''}`;
  if (!page) stripsFor(names, () => snap && generators(snap.generators));
}

function tradeRow(t) {
  const cell = (label, value, cls) => el('td', { 'data-label': label, class: cls }, value);
  return el('tr', {},
    cell(null, el('span', { class: 'mono' }, link('trade', t.id)), 'wide nowrap'),
    cell(null, [el('span', { class: 'badge ' + (tradeLook[t.status] || '') }, words(t.status)),
      t.held_by_hazard ? [' ', el('span', { class: 'badge warn' }, 'hazard hold')] : ''], 'wide'),
    cell('seller', t.seller ? link('participant', t.seller) : '–', 'nowrap'), cell('buyer', link('participant', t.buyer), 'nowrap'),
    cell('kWh', (t.energy_wh ? kwh(t.energy_wh) + ' of ' : '') + kwh(t.volume_wh), 'num'),
    cell('per kWh', t.price_micro_per_kwh ? money(t.price_micro_per_kwh) : '–', 'num'),
    cell('paid', t.paid_micro ? money(t.paid_micro) : '–', 'num'),
    el('td', { class: 'wide', 'data-label': t.reason ? 'why' : null }, t.reason || ''),
    cell('at', time(t.updated_ms), 'nowrap'));
}

const said = { ack: 'acknowledged', block: 'closed the gate', unblock: 'took the block back' };
function wordRow(w) {
  return el('li', {}, time(w.time_ms), ' ', el('b', {}, w.by), ` ${said[w.do] || w.do}`, w.do === 'ack' ? ` ${w.rule}` : '', ' of ',
    el('span', { class: 'mono' }, w.device), w.until_ms ? [' until ', time(w.until_ms)] : '', w.why ? `: ${w.why}` : '',
    el('span', { class: 'muted' }, w.owner ? ` (key of ${w.owner})` : ' (on the machine)', ` in block ${whole.format(w.height)}`));
}

function blockRow(b) {
  return el('tr', {}, el('td', { class: 'num' }, link('block', b.height, whole.format(b.height))), el('td', { class: 'nowrap' }, time(b.time_ms)),
    el('td', { class: 'num' }, whole.format(b.records)), el('td', {}, b.accounting_node), el('td', { class: 'num' }, b.epoch),
    el('td', { class: 'num' }, b.view), el('td', { class: 'num' }, b.votes));
}

function overview(s) {
  const open = s.generators.filter(g => seen(g).state === 'OPEN').length;
  const done = (s.trade_count.settled || 0) + (s.trade_count.settled_partly || 0);
  const tile = (v, k) => el('div', { class: 'tile' }, el('b', {}, v), el('span', {}, k));
  const fresh = lost ? [] : s.generators.map(g => g.now && g.now.power_w).filter(w => w !== undefined && w !== null);
  const prices = s.generators.filter(g => g.offer && seen(g).state === 'OPEN').map(g => g.offer.price_micro_per_kwh);
  const lo = Math.min(...prices), hi = Math.max(...prices), running = s.trade_count.delivering || 0, c = s.counters;
  return [tile(`${lost ? '?' : open} of ${s.generators.length}`, 'gates open'),
    tile(fresh.length ? watts(fresh.reduce((a, b) => a + b, 0)) : '–', 'power now'),
    tile(prices.length ? (lo === hi ? money(lo) : `${money(lo)} – ${money(hi)}`) : '–', 'asked per kWh'),
    tile(whole.format(running), running === 1 ? 'delivery runs' : 'deliveries run'), tile(whole.format(done), 'trades settled'),
    tile(s.chain.height ? when(s.chain.time_ms) : 'none yet', 'newest block'),
    tile(`${s.agreement.reachable} of ${s.agreement.members}`, `aggregators in reach; ${s.agreement.quorum} needed`),
    tile(c.brokers ? `${c.brokers_connected} of ${c.brokers}` : '–', 'brokers connected')];
}

function head(s) {
  $('name').textContent = s.name;
  document.title = (lost ? 'No connection – ' : '') + (page ? page.title + ' – ' : '') + (s.name ? `${s.name} – fairwatt` : 'fairwatt');
  $('simulated').hidden = !s.simulated;
  const days = s.certificate_ends_ms ? Math.floor((s.certificate_ends_ms - s.time_ms) / 86400e3) : Infinity;
  const ends = days < 0 ? 'The TLS certificate has ended: no new connection comes about. Put a new one in its place (aggregator mc renew).'
    : days < 30 ? `The TLS certificate ends in ${days} day${days === 1 ? '' : 's'}. Put a new one in its place (aggregator mc renew).` : '';
  const c = s.counters, deaf = c.brokers && !c.brokers_connected ? 'No MQTT broker is connected: no device is heard, so no gate counts as open. Look at the brokers of da.yaml; it goes on trying by itself.' : '';
  const fault = [s.fault || s.agreement.stuck, deaf, ends].filter(Boolean).join(' ');
  $('fault').hidden = !fault;
  if ($('fault').textContent !== fault) $('fault').textContent = fault;
  $('overview').replaceChildren(...overview(s));
  $('footer').textContent = `Seen by ${s.da}, fairwatt ${s.software}, up since ${stamp.format(s.started_ms)}.` + (days >= 0 && days < Infinity ? ` Its certificate lasts ${days} more day${days === 1 ? '' : 's'}.` : '');
}

const tradeOrder = ['escrowed', 'paid', 'delivering', 'held', 'billed', 'cleared', 'settled', 'settled_partly', 'refunded', 'disputed', 'failed'];
function trades(list, count) {
  show('trade-count', count, c => Object.keys(c).sort((a, b) => tradeOrder.indexOf(a) - tradeOrder.indexOf(b))
    .map(k => el('li', { class: 'badge ' + (tradeLook[k] || '') }, `${words(k)}: ${whole.format(c[k])}`)));
  show('trade-rows', list, l => l.length ? l.map(tradeRow) : el('tr', {}, el('td', { colspan: 9, class: 'empty wide' }, 'No trade yet. A buyer\u2019s agent asks for energy by itself once a gate is open, an offer stands and its wallet is filled (aggregator mc deposit).')));
  const all = Object.values(count).reduce((a, b) => a + b, 0);
  $('trades-note').textContent = all > list.length ? `The newest ${list.length} of ${whole.format(all)}.` : '';
}

// slots shows the next ones that take orders, then what has been cleared, newest first.
function slots(a) {
  $('slots').hidden = !a;
  if (!a) return;
  const open = a.slots.filter(s => s.status === 'open'), next = open.slice(0, 6), rest = open.length - next.length;
  $('slots-note').textContent = `A slot lasts ${lasts(a.slot_ms)} and takes orders until ${lasts(a.gate_closure_ms)} before it. ${a.shared ? 'What is produced in it is divided by agreed parts when it is over. ' : ''}All of its energy has one price.`
    + (rest ? ` ${rest} later slot${rest === 1 ? '' : 's'} with orders ${rest === 1 ? 'is' : 'are'} not shown.` : '');
  const rows = next.concat(a.slots.filter(s => s.status !== 'open').reverse());
  show('slot-rows', rows, l => l.length ? l.map(slotRow)
    : el('tr', {}, el('td', { colspan: 7, class: 'empty wide' }, 'No order yet. Agents ask and bid by themselves once a gate is open and a wallet is filled.')));
}

const lasts = ms => (ms % 60000 ? `${ms / 1000} s` : `${ms / 60000} min`);
const slotLook = { open: ['', 'takes orders'], cleared: ['warn', 'cleared'], ended: ['ok', 'ended'] };
const orders = (n, o, edge) => (n ? `${n}${o ? `: ${kwh(o.energy_wh)} kWh ${edge} ${money(o.best_micro_per_kwh)}` : ''}` : '–');
function slotRow(s) {
  const cell = (label, value, cls) => el('td', { 'data-label': label, class: cls }, value);
  const [look, text] = slotLook[s.status] || ['', s.status];
  const more = s.status === 'open' ? [' until ', time(s.closes_ms)] : s.waiting ? ` ${s.waiting} reading${s.waiting === 1 ? '' : 's'} to come` : '';
  const cleared = s.status !== 'open', undivided = s.status === 'cleared' && !s.trades;
  return el('tr', {},
    cell(null, time(s.start_ms), 'wide nowrap'), cell(null, [el('span', { class: 'badge ' + look }, undivided ? 'is shared' : text), more], 'wide'),
    cell('asked', cleared ? '' : orders(s.asks, s.asked, 'from'), 'nowrap'), cell('bid', cleared ? '' : orders(s.bids, s.bid, 'up to'), 'nowrap'),
    cell('per kWh', cleared ? money(s.price_micro_per_kwh || 0) : '', 'num'), cell('sold kWh', cleared && !undivided ? kwh(s.sold_wh || 0) : '', 'num'),
    cell('paid kWh', s.status === 'ended' ? kwh(s.paid_wh || 0) : '', 'num'));
}

function member(p, now) {
  const heard = p.heard_ms && now - p.heard_ms < 5000 ? `block ${whole.format(p.height)}` : 'not heard';
  return `${p.id}: ${heard}${p.refused ? `, ${whole.format(p.refused)} refused` : ''}${p.cut_off_ms > now ? ', cut off' : ''}`;
}

function chain(c, a, now) {
  const members = (a.peers || []).map(p => member(p, now));
  show('chain-facts', [c.height, c.time_ms, c.records, c.epoch, c.view, c.accounting_node, c.view_changes, c.receipts, c.order, c.id, a.reachable, a.voting, members], () => facts([
    ['Height', whole.format(c.height)], ['Newest block', time(c.time_ms)], ['Records', whole.format(c.records)],
    ['Accounting node', c.accounting_node], ['Epoch', whole.format(c.epoch)], ['Agreement view', whole.format(c.view)],
    ['View changes', whole.format(c.view_changes)], ['Receipts sent', whole.format(c.receipts)],
    ['In reach', `${a.reachable} of ${a.members}; a block needs ${a.quorum}`],
    ['This one votes', a.voting ? 'yes' : 'no'], ['Its last vote', a.last_vote_ms ? time(a.last_vote_ms) : 'none yet'],
    ['The others', members.join('; ') || 'none'],
    ['Order of this epoch', (c.order || []).join(', ')], ['Chain id', el('span', { class: 'mono', title: c.id }, c.id.slice(0, 16) + '…')]]));
  show('block-rows', c.blocks, l => l.length ? l.map(blockRow) : el('tr', {}, el('td', { colspan: 7, class: 'empty' }, 'No block yet. Blocks are made when there are records: the first registration makes one.')));
}

function tree(t, c, n) {
  const drawn = [c.epoch, c.view, t.nodes, t.edges.map(e => [e.parent, e.child, e.overhead_us])];
  show('tree-box', drawn, () => t.nodes.length ? treePicture(t, c.epoch, c.view) : el('p', { class: 'empty' }, 'No tree yet: it comes with the first view that enough data aggregators take part in.'));
  show('tree-facts', [n.forwarded, n.pulled, n.missed, t], () => facts([
    ['Forwarded to children', whole.format(n.forwarded)], ['Pulled after a miss', whole.format(n.pulled)],
    ['Missed', whole.format(n.missed)], ['Built as', (t.algorithm || '').toUpperCase()],
    ...((t.unattached || []).length ? [['Not attached', t.unattached.join(', ')]] : [])]));
  show('trust-rows', t.nodes, l => l.map(trustRow));
}

function trustRow(n) {
  const state = n.condemned ? ['bad', 'found out'] : n.disputes ? ['warn', n.disputes === 1 ? '1 dispute' : `${n.disputes} disputes`] : n.probation ? ['warn', `on probation to ${n.probation}`] : n.failed ? ['warn', 'deposed'] : ['ok', 'good'];
  return el('tr', {},
    el('td', {}, el('a', { href: 'api/v1/tree/why?da=' + encodeURIComponent(n.id), title: 'all that its place in the tree stands on' }, n.id)),
    el('td', { class: 'num' }, ((n.earned_e4 || 0) / 1e4).toFixed(4)),
    el('td', {}, el('span', { class: 'badge ' + state[0] }, state[1])),
    el('td', {}, n.why ? `${n.why} (block ${whole.format(n.why_height)})` : 'none yet'));
}

function counters(n) {
  const q = n.atct_ms, took = v => q.n ? short(v) + ' ms' : '–';
  show('counter-facts', n, () => facts([
    ['Received', whole.format(n.received)], ['Accepted', whole.format(n.accepted)], ['Duplicates', whole.format(n.duplicates)],
    ['Waiting for a block', whole.format(n.pending)], ['Dropped', whole.format(n.dropped)], ['Unreadable views', whole.format(n.bad_views)],
    ['Time to final p50', took(q.p50)], ['p95', took(q.p95)], ['p99', took(q.p99)]]));
  show('refused', n.refused || {}, r => Object.keys(r).sort().map(k => el('li', { class: 'badge warn' }, `refused ${words(k)}: ${whole.format(r[k])}`)));
}

let snap = null; // the newest snapshot
function took(s) {
  ahead = s.time_ms - Date.now();
  if (Math.abs(ahead) < 5000) ahead = 0;
  draw(s);
}

function draw(s) {
  snap = s;
  head(s);
  if (page) {
    if (page.update) page.update(s);
    return;
  }
  home(s);
}

function home(s) {
  generators(s.generators);
  weather(s.nowcasts, s.generators);
  trades(s.trades, s.trade_count);
  slots(s.auction);
  show('words', s.words || [], l => l.length ? l.map(wordRow) : el('li', { class: 'empty' }, 'No one has spoken yet. agent ack and agent block are said here, with the name of who said it.'));
  chain(s.chain, s.agreement, s.time_ms);
  tree(s.tree, s.chain, s.counters);
  counters(s.counters);
}

function state(text, cls) {
  if ($('link').textContent !== text) $('link').textContent = text;
  $('link').className = 'link ' + cls;
  document.body.classList.toggle('lost', cls === 'lost');
}

// A stream that says nothing for longer than this is dead: the server says
// something every 5 s. A cable that is pulled raises no error.
const silence = 12000;
let heard = { clock: Date.now(), run: performance.now() };
const silent = () => Math.max(Date.now() - heard.clock, performance.now() - heard.run);

function alive() {
  heard = { clock: Date.now(), run: performance.now() };
  lost = 0;
  state('Live', 'live');
}

// lose shows that nothing is known any more.
function lose() {
  if (!lost) lost = heard.clock;
  state('No connection since ' + moment(lost + ahead), 'lost');
  if (snap) {
    draw(snap);
  }
}

// The browser reconnects by itself while the connection only breaks; after an
// HTTP error (too many streams, a proxy) or in silence we try again.
let stream = null;
function connect(delay) {
  const es = stream = new EventSource('api/v1/events');
  const again = () => {
    es.close();
    if (stream !== es) return;
    stream = null;
    setTimeout(() => connect(Math.min(delay * 2, 30000)), delay);
  };
  es.addEventListener('snapshot', e => {
    delay = 1000;
    alive();
    took(JSON.parse(e.data));
  });
  es.addEventListener('alive', alive);
  es.addEventListener('error', () => {
    lose();
    if (es.readyState === EventSource.CLOSED) again();
  });
  es.silent = again;
}

// Gates lapse and streams die without an event. A page that was hidden, or a
// machine that slept, looks at once.
function look() {
  if (silent() > silence) {
    lose();
    if (stream && stream.readyState === EventSource.OPEN) stream.silent();
  } else if (snap) {
    if (page) {
      if (page.update) page.update(snap);
    } else {
      generators(snap.generators);
      $('overview').replaceChildren(...overview(snap));
    }
  }
}
$('q').addEventListener('input', () => { most = atOnce; if (snap && !page) generators(snap.generators); });
$('search').addEventListener('submit', e => {
  e.preventDefault();
  const text = $('q').value.trim();
  if (text) location.hash = '#/search/' + encodeURIComponent(text);
});
$('more').addEventListener('click', () => { most += atOnce; if (snap) generators(snap.generators); });
route();
setInterval(look, 1000);
document.addEventListener('visibilitychange', look);
connect(1000);
