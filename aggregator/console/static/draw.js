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

// treePicture shows the server's picture of a tree, and says it in words.
function treePicture(tree, epoch, view) {
  const up = new Map(tree.edges.map(e => [e.child, e]));
  const words = tree.nodes.map(n => {
    const e = up.get(n.id);
    return describeNode(n, e && e.parent, e && e.overhead_us);
  });
  const root = tree.nodes.find(n => n.root);
  return el('img', { class: 'tree', src: `api/v1/tree.svg?epoch=${epoch}&view=${view}&root=${encodeURIComponent(root ? root.id : '')}`,
    alt: 'Tree of data aggregators. ' + words.join(' ') });
}

function describeNode(n, up, us) {
  const from = up ? `gets blocks from ${up} at ${ms(us)}` : n.root ? 'is the root' : 'is not attached';
  return `${n.id} ${from}, trust ${(n.trust_e4 / 1e4).toFixed(2)}, ${n.links} links${n.failed ? ', deposed' : ''}.`;
}

function ms(us) {
  return us === undefined ? '?' : (us / 1000).toFixed(us < 10000 ? 1 : 0) + ' ms';
}
