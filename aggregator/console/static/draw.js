'use strict';
// Small helpers that make elements. Text from the outside is only ever set as
// text, never parsed as markup.

function el(tag, attrs, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attrs || {})) {
    if (v === undefined || v === null || v === false) continue;
    if (k === 'class') e.className = v;
    else e.setAttribute(k, v === true ? '' : String(v));
  }
  for (const c of children.flat(Infinity)) {
    if (c === undefined || c === null || c === '') continue;
    e.append(c instanceof Node ? c : document.createTextNode(String(c)));
  }
  return e;
}

function svg(tag, attrs, text) {
  const e = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [k, v] of Object.entries(attrs || {})) e.setAttribute(k, String(v));
  if (text !== undefined) e.textContent = text;
  return e;
}

// drawTree lays the tree out by depth: every leaf takes one column, every
// parent stands above the middle of its children.
function drawTree(tree) {
  const nodes = new Map(tree.nodes.map(n => [n.id, n]));
  const kids = new Map(), parent = new Map(), overhead = new Map();
  for (const e of tree.edges) {
    if (!nodes.has(e.parent) || !nodes.has(e.child)) continue;
    if (!kids.has(e.parent)) kids.set(e.parent, []);
    kids.get(e.parent).push(e.child);
    parent.set(e.child, e.parent);
    overhead.set(e.child, e.overhead_us);
  }
  const place = new Map();
  let column = 0, deepest = 0;
  const walk = (id, depth) => {
    if (place.has(id)) return;
    place.set(id, null);
    deepest = Math.max(deepest, depth);
    const below = (kids.get(id) || []).filter(k => !place.has(k));
    below.forEach(k => walk(k, depth + 1));
    const x = below.length ? (place.get(below[0]).x + place.get(below[below.length - 1]).x) / 2 : column++;
    place.set(id, { x, y: depth });
  };
  tree.nodes.filter(n => n.root).forEach(n => walk(n.id, 0));
  tree.nodes.filter(n => !parent.has(n.id)).forEach(n => walk(n.id, 0));

  const W = 172, H = 104, top = 46, side = 56, r = 26;
  const width = side * 2 + 60 + Math.max(0, column - 1) * W, height = top + deepest * H + r + 16;
  const at = p => ({ x: side + p.x * W, y: top + p.y * H });
  const words = tree.nodes.map(n => describeNode(n, parent.get(n.id), overhead.get(n.id)));
  const root = svg('svg', { class: 'tree', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img',
    'aria-label': 'Tree of data aggregators. ' + words.join(' ') });
  for (const [child, up] of parent) {
    if (!place.get(child) || !place.get(up)) continue;
    const a = at(place.get(up)), b = at(place.get(child));
    root.append(svg('line', { class: 'edge', x1: a.x, y1: a.y, x2: b.x, y2: b.y }));
  }
  for (const [child, up] of parent) {
    if (!place.get(child) || !place.get(up)) continue;
    const a = at(place.get(up)), b = at(place.get(child));
    const x = (a.x + b.x) / 2, y = (a.y + b.y) / 2;
    root.append(svg('rect', { class: 'label', x: x - 27, y: y - 9, width: 54, height: 16, rx: 4 }));
    root.append(svg('text', { class: 'sub', x, y: y + 3 }, ms(overhead.get(child))));
  }
  for (const n of tree.nodes) {
    const p = at(place.get(n.id));
    const marks = ['node', n.root && 'root', n.failed && 'failed', n.self && 'self'].filter(Boolean).join(' ');
    const g = svg('g');
    g.append(svg('title', {}, describeNode(n, parent.get(n.id), overhead.get(n.id))));
    g.append(svg('circle', { class: marks, cx: p.x, cy: p.y, r }));
    g.append(svg('text', { x: p.x, y: p.y + 4 }, n.id.length > 8 ? n.id.slice(0, 7) + '…' : n.id));
    const word = [n.root && 'root', n.failed && 'failed', n.self && 'this one'].filter(Boolean).join(', ');
    if (word) g.append(svg('text', { class: 'mark', x: p.x, y: p.y - r - 5 }, word));
    g.append(svg('text', { class: 'sub side', x: p.x + r + 8, y: p.y - 2 }, `trust ${(n.trust_e4 / 1e4).toFixed(2)}`));
    g.append(svg('text', { class: 'sub side', x: p.x + r + 8, y: p.y + 13 }, `${n.links} ${n.links === 1 ? 'link' : 'links'}`));
    root.append(g);
  }
  return root;
}

function describeNode(n, up, us) {
  const from = up ? `gets blocks from ${up} at ${ms(us)}` : n.root ? 'is the root' : 'is not attached';
  return `${n.id} ${from}, trust ${(n.trust_e4 / 1e4).toFixed(2)}, ${n.links} links${n.failed ? ', failed' : ''}.`;
}

function ms(us) {
  return us === undefined ? '?' : (us / 1000).toFixed(us < 10000 ? 1 : 0) + ' ms';
}
