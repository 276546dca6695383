'use strict';
// Pages with addresses of their own, after the #: they can be kept, shared and gone
// back to, and work below any path of a reverse proxy.
//   #/generator/SITE/ID  #/participant/ID  #/trade/ID  #/block/HEIGHT  #/record/ID/HEIGHT  #/tree  #/search/TEXT

let page = null; // the one shown: { update(snapshot), refresh() }; null: the overview

const find = (list, f) => (list || []).find(f);
const section = (title, ...nodes) => el('section', {}, el('h2', {}, title), ...nodes);
const crumbs = (...parts) => el('p', { class: 'crumbs' }, el('a', { href: '#/' }, 'Overview'), parts.map(p => [' › ', p]));
const headline = (title, ...more) => el('div', { class: 'headline' }, el('h2', { tabindex: -1 }, title), ' ', ...more);

const pages = {
  generator(site, id) {
    const live = el('div', { class: 'cards one' }), box = el('div', { class: 'history' }), note = el('p', { class: 'small muted', role: 'status' });
    const tradesBox = el('div'), costs = el('div');
    let span = 'day';
    const tabs = Object.keys(spanWords).map(s => el('button', { type: 'button', 'aria-pressed': String(s === span) }, s));
    const draw = () => historyCharts(box, site, id, span).then(() => { note.textContent = ''; }).catch(problem(note));
    tabs.forEach(b => b.addEventListener('click', () => {
      span = b.textContent;
      tabs.forEach(o => o.setAttribute('aria-pressed', String(o === b)));
      draw();
    }));
    let key = '';
    const name = site + '/' + id;
    return {
      title: id,
      nodes: [crumbs(id), headline(id), live, section('History', el('div', { class: 'tabs', role: 'group', 'aria-label': 'Span of time' }, tabs), box, note), costs, tradesBox,
        section('Money and credit', el('p', {}, link('participant', id, `Wallet, credit and what the chain says of ${id}`)))],
      update(s) {
        const g = find(s.generators, o => o.id === id && o.site === site), mine = s.trades.filter(t => t.seller === id);
        if (g) stripsFor([name], () => snap && page && page.update && page.update(snap));
        const next = JSON.stringify([g, g && seen(g), mine, strips.get(name)]);
        if (next === key) return;
        key = next;
        const open = live.querySelector('details[open]');
        live.replaceChildren(g ? card(g) : el('p', { class: 'empty' }, `Nothing has been heard of ${id} at ${site} since this data aggregator started. Is its agent running, and registered? agent check says what is missing.`));
        if (open) live.querySelectorAll('details').forEach(d => { d.open = true; });
        costs.replaceChildren(g && (g.costs || []).length ? section('What each hazard has cost', costTable(g)) : '');
        tradesBox.replaceChildren(section('Newest trades', mine.length ? el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Its newest trades' }, tradeTable(mine)) : el('p', { class: 'empty' }, 'None of the newest trades is its own.')));
      },
      refresh: draw,
    };
  },

  participant(id) {
    const box = el('div'), s = storyList(`participants/${encodeURIComponent(id)}/story`, null, false), note = el('p', { class: 'small muted', role: 'status' });
    return {
      title: id,
      nodes: [crumbs(id), headline(id), box, section('What happened, newest first', ...s.nodes), note],
      async refresh() {
        const p = await ask('participants/' + encodeURIComponent(id)), a = p.account;
        box.replaceChildren(el('p', {}, `${p.roles.join(' and ') || 'member'}${p.site ? ' at ' + p.site : ''}. `, p.simulated ? el('span', { class: 'badge sim' }, 'simulated') : '',
          p.roles.includes('seller') ? [' ', link('generator', p.site + '/' + id, 'Its gate and power')] : ''),
        p.standing ? el('p', { class: p.standing === 'active' ? 'muted' : 'fault' }, membershipSays(p)) : '',
        a && a.listed ? el('p', { class: 'fault' }, `It may not trade${a.listed_until_ms ? ' until ' + moment(a.listed_until_ms) : ''}; below is why.`) : '',
        a ? el('dl', { class: 'facts' }, facts([['In its wallet', money(a.wallet_micro)], ['In its bond', money(a.bond_micro) + (a.leaving_micro ? `, ${money(a.leaving_micro)} on the way back` : '')],
          ['Promised in open trades', money(a.exposure_micro) + (a.limit_micro >= 0 ? ` of at most ${money(a.limit_micro)}` : '')],
          ['Credit', (a.credit_e6 / 1e6).toFixed(3)], ['Promises', `${whole.format(a.kept)} kept, ${whole.format(a.broken)} broken`],
          ...(a.fines_due_micro ? [['Owes in fines', money(a.fines_due_micro)]] : []),
          ...(p.offer ? [['Sells now', `${energy(p.offer.volume_wh)} at ${money(p.offer.price_micro_per_kwh)} a kWh`]] : [])])) : el('p', { class: 'muted' }, 'It has no account.'));
        await s.load();
      },
    };
  },

  trade(id) {
    const box = el('div'), s = storyList(`trades/${encodeURIComponent(id)}/story`, id, true);
    let height = -1;
    return {
      title: 'Trade ' + id,
      nodes: [crumbs('trade'), headline('Trade ', el('span', { class: 'mono' }, id)), box, section('Step by step', ...s.nodes)],
      async refresh() {
        const t = await ask('trades/' + encodeURIComponent(id));
        box.replaceChildren(el('p', { class: 'lead' }, el('span', { class: 'badge ' + (tradeLook[t.status] || '') }, words(t.status)), ' ', statusSays[t.status] || '', '.', t.reason ? ` ${t.reason}.` : ''),
          el('p', {}, party(t.buyer), ' buys ', energy(t.volume_wh), t.seller ? [' from ', party(t.seller)] : '', t.price_micro_per_kwh ? ` at ${money(t.price_micro_per_kwh)} a kWh` : '', '.',
            t.energy_wh ? ` ${energy(t.energy_wh)} came.` : ''),
          tradeBar(t),
          el('dl', { class: 'facts' }, facts([['In escrow', money(t.escrow_micro)], ['Went to the seller', money(t.paid_micro)], ['Went back to the buyer', money(t.returned_micro)],
            ['Held by a hazard', t.held_by_hazard ? 'yes' : 'no'], ['Last change', time(t.updated_ms)]])));
        await s.load();
      },
      update(n) {
        if (height >= 0 && n.chain.height !== height) soon();
        height = n.chain.height;
      },
    };
  },

  block(height) {
    const box = el('div');
    return {
      title: 'Block ' + height,
      nodes: [crumbs('block'), headline('Block ' + whole.format(height)), box],
      async refresh() {
        const b = await ask('blocks/' + encodeURIComponent(height));
        const records = b.entries.filter(e => e.kind === 'record'), did = b.entries.filter(e => e.kind !== 'record');
        box.replaceChildren(el('p', {}, `Made by ${b.accounting_node}, signed by ${b.voters.join(', ')}. `, b.height > 1 ? link('block', b.height - 1, 'before') : '', ' ', link('block', b.height + 1, 'next')),
          el('dl', { class: 'facts' }, facts([['Time', time(b.time_ms)], ['Records', whole.format(b.records)], ['Size', whole.format(b.bytes) + ' bytes'], ['Epoch', whole.format(b.epoch)],
            ['Agreement view', whole.format(b.view)], ['Hash', el('span', { class: 'mono' }, b.hash)]])),
          section('Records', el('ol', { class: 'story' }, records.map(e => entryRow(e)))),
          did.length ? section('What it did', el('ol', { class: 'story' }, did.map(e => entryRow(e)))) : '',
          b.kept ? '' : el('p', { class: 'small muted' }, 'What the rules said of these records is not kept here; aggregator chain show has it.'));
      },
    };
  },

  record(id, height) { return pages.block(height); },

  tree() {
    const box = el('div', { class: 'scroll motion', tabindex: 0, role: 'region', 'aria-label': 'Communication tree' }), rows = el('tbody'), last = el('p', { class: 'muted small', role: 'status' });
    let drawn = '', height = 0, moving = null;
    return {
      title: 'Communication tree',
      nodes: [crumbs('tree'), headline('Communication tree'), el('p', { class: 'muted' }, 'A block goes from the root down its edges. A dot is a block that has just been agreed on, slowed down a hundred times.'), box, last,
        el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Trust' }, el('table', {}, el('thead', {}, el('tr', {}, ['Data aggregator', 'Trust', 'State', 'Last change'].map(h => el('th', { scope: 'col' }, h)))), rows))],
      update(s) {
        const key = JSON.stringify([s.tree.nodes, s.tree.edges.map(e => [e.parent, e.child, e.overhead_us])]);
        if (key !== drawn) {
          drawn = key;
          moving = treeInMotion(s.tree);
          box.replaceChildren(moving ? moving.node : el('p', { class: 'empty' }, 'There is no tree before the first view.'));
          rows.replaceChildren(...s.tree.nodes.map(trustRow));
        }
        if (s.chain.height !== height) {
          if (height && moving) moving.send();
          height = s.chain.height;
          last.textContent = height ? `Block ${whole.format(height)}, ${when(s.chain.time_ms)}, by ${s.chain.accounting_node}.` : 'No block yet: blocks are made when there are records.';
        }
      },
    };
  },

  search(text) {
    const box = el('div');
    return {
      title: 'Search',
      nodes: [crumbs('search'), headline(`Found for “${text}”`), box],
      async refresh() {
        const { found } = await ask('search?q=' + encodeURIComponent(text));
        const to = f => (f.kind === 'generator' ? link('generator', f.site + '/' + f.id, f.id) : f.kind === 'record' ? link('block', f.text, `record in block ${f.text}`) : link(f.kind, f.id));
        box.replaceChildren(found.length ? el('ul', { class: 'words' }, found.map(f => el('li', {}, el('span', { class: 'muted' }, f.kind, ' '), to(f), f.site ? ' at ' + f.site : '', (f.kind === 'trade' || f.kind === 'participant' || f.kind === 'generator') && f.text ? ', ' + words(f.text) : '')))
          : el('p', { class: 'empty' }, 'Nothing of that name. Search finds generators, participants and sites by a part of their name, trades and records by their whole id, blocks by their height.'));
      },
    };
  },
};

// membershipSays tells how a member stands, since when and why.
function membershipSays(m) {
  const since = m.standing_height ? ` since block ${whole.format(m.standing_height)}` : '', why = m.standing_reason && m.standing !== 'active' ? `: ${m.standing_reason}` : '';
  return { active: 'It is an active member', suspended: 'It is suspended and takes part in nothing', revoked: 'Its key was revoked: it takes part in nothing any more' }[m.standing] + since + why + '.'
    + (m.key_height ? ` It has changed its key, in block ${whole.format(m.key_height)}.` : '');
}

function costTable(g) {
  const rows = [...g.costs].sort((a, b) => b.closed_s - a.closed_s);
  return [g.cost_since_ms ? el('p', { class: 'muted note' }, `Since ${moment(g.cost_since_ms)}, as its agent reckons it.`) : '',
    el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'What rules have cost' }, el('table', {},
      el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'Rule'), ['Closed for', 'alone', 'kWh not sold', 'worth'].map(h => el('th', { scope: 'col', class: 'num' }, h)))),
      el('tbody', {}, rows.map(c => el('tr', {}, el('td', {}, `${c.title || 'Rule'} (${c.rule})`), el('td', { class: 'num' }, hours(c.closed_s)), el('td', { class: 'num' }, hours(c.alone_s)),
        el('td', { class: 'num' }, c.kwh === undefined ? '–' : c.kwh.toFixed(1)), el('td', { class: 'num' }, c.money === undefined ? '–' : c.money.toFixed(2)))))))];
}

function tradeTable(list) {
  return el('table', { class: 'stack' }, el('thead', {}, el('tr', {}, ['Trade', 'Status', 'Seller', 'Buyer'].map(h => el('th', { scope: 'col' }, h)), ['kWh', 'Price per kWh', 'Paid'].map(h => el('th', { scope: 'col', class: 'num' }, h)),
    ['Why', 'When'].map(h => el('th', { scope: 'col' }, h)))), el('tbody', {}, list.map(tradeRow)));
}

// tradeBar shows how far a trade has come.
function tradeBar(t) {
  const way = ['escrowed', 'paid', 'delivering', 'billed', 'settled'], at = { held: 2, cleared: 2, settled_partly: 4, refunded: 4, failed: 4, disputed: 4 }[t.status] ?? way.indexOf(t.status);
  return el('ol', { class: 'way', 'aria-label': 'How far it has come' }, way.map((w, i) => el('li', { class: i < at ? 'done' : i === at ? 'at ' + (tradeLook[t.status] || 'ok') : '', 'aria-current': i === at ? 'step' : null },
    i === at ? words(t.status) : w)));
}

// treeInMotion draws a tree in levels, and sends dots down its edges.
function treeInMotion(t) {
  if (!t.nodes.length) return null;
  const up = new Map(t.edges.map(e => [e.child, e])), depth = id => (up.has(id) ? depth(up.get(id).parent) + 1 : 0);
  const levels = [];
  const put = n => { const d = depth(n.id); (levels[d] = levels[d] || []).push(n); };
  t.nodes.forEach(put);
  const w = Math.max(360, 130 * Math.max(...levels.map(l => l.length))), h = 96 * levels.length, at = new Map();
  levels.forEach((l, d) => l.forEach((n, i) => at.set(n.id, [(i + 0.5) * w / l.length, 96 * d + 40])));
  const edges = t.edges.map(e => {
    const [x1, y1] = at.get(e.parent), [x2, y2] = at.get(e.child);
    return svg('g', {}, svg('path', { class: 'edge', d: `M${x1} ${y1 + 18}L${x2} ${y2 - 18}` }),
      svg('text', { class: 'w', x: (x1 + x2) / 2 + 6, y: (y1 + y2) / 2 }, document.createTextNode(ms(e.overhead_us))));
  });
  const nodes = t.nodes.map(n => {
    const [x, y] = at.get(n.id);
    return svg('g', { class: n.condemned ? 'node bad' : n.failed ? 'node warn' : n.root ? 'node root' : 'node' }, svg('rect', { x: x - 52, y: y - 18, width: 104, height: 36, rx: 9 }),
      svg('text', { x, y: y - 2, 'text-anchor': 'middle' }, document.createTextNode(n.id)),
      svg('text', { class: 'w', x, y: y + 12, 'text-anchor': 'middle' }, document.createTextNode((n.root ? 'root' : n.self ? 'this one' : n.failed ? 'deposed' : 'trust ' + (n.trust_e4 / 1e4).toFixed(2)))));
  });
  const dots = svg('g', {});
  const node = svg('svg', { class: 'moving', viewBox: `0 0 ${w} ${h}`, role: 'img', 'aria-label': t.nodes.map(n => describeNode(n, up.has(n.id) && up.get(n.id).parent, up.has(n.id) ? up.get(n.id).overhead_us : undefined)).join(' ') }, ...edges, ...nodes, dots);
  const starts = id => (up.has(id) ? starts(up.get(id).parent) + up.get(id).overhead_us / 10 : 0); // ms of the screen: 100 times as long
  const send = () => {
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
    const begun = performance.now(), list = t.edges.map(e => ({ e, dot: svg('circle', { class: 'dot', r: 5, cx: -20, cy: -20 }), from: starts(e.parent), to: starts(e.child) }));
    list.forEach(l => dots.append(l.dot));
    const step = now => {
      const past = now - begun;
      for (const l of list) {
        const k = (past - l.from) / Math.max(1, l.to - l.from), [x1, y1] = at.get(l.e.parent), [x2, y2] = at.get(l.e.child);
        const hidden = k < 0 || k > 1;
        l.dot.setAttribute('cx', hidden ? -20 : x1 + (x2 - x1) * k);
        l.dot.setAttribute('cy', hidden ? -20 : y1 + (y2 - y1) * k);
      }
      if (past < Math.max(...list.map(l => l.to)) + 50) requestAnimationFrame(step); else list.forEach(l => l.dot.remove());
    };
    requestAnimationFrame(step);
  };
  return { node, send };
}

let refreshing = null;
function soon() { if (!refreshing) refreshing = setTimeout(refresh, 1500); }
async function refresh() {
  clearTimeout(refreshing);
  refreshing = null;
  const own = page;
  if (!own || !own.refresh || lost) return;
  try {
    await own.refresh();
    $('page-note').textContent = '';
  } catch (err) {
    if (page === own) $('page-note').textContent = `${err.message}. `;
  }
}
setInterval(() => { if (page && !document.hidden) refresh(); }, 30000);

function route() {
  const parts = location.hash.startsWith('#/') ? location.hash.slice(2).split('/').map(p => { try { return decodeURIComponent(p); } catch { return p; } }) : [];
  const make = Object.hasOwn(pages, parts[0] || '') ? pages[parts[0]] : null;
  page = make ? make(...parts.slice(1)) : null;
  $('page').hidden = !page;
  $('home').hidden = !!page;
  document.body.classList.toggle('inner', !!page);
  $('page-note').textContent = '';
  if (!page) { $('page-body').replaceChildren(); if (snap) draw(snap); return; }
  $('page-body').replaceChildren(...page.nodes);
  window.scrollTo(0, 0);
  if (snap) { head(snap); if (page.update) page.update(snap); }
  refresh();
}
window.addEventListener('hashchange', route);
