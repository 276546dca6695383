'use strict';
// What blocks say, in sentences for people. Height, record and proof follow, smaller.

const link = (kind, id, text) => el('a', { href: `#/${kind}/` + String(id).split('/').map(encodeURIComponent).join('/') }, text === undefined ? id : text);
const party = id => (id ? link('participant', id) : 'no one yet');
const signed = micro => (micro > 0 ? '+' : '−') + money(Math.abs(micro));

const recordSays = {
  registration: e => ['The centre admitted ', party(e.other)],
  deposit: e => ['The centre booked ', money(e.amount_micro || 0), ' for ', party(e.other)],
  gate_change: e => [party(e.who), ' told how its gate stands'],
  offer: e => [party(e.who), ' told what it sells, and for how much'],
  request: e => [party(e.who), ' asked for energy'],
  response: e => ['The centre named sellers to ', party(e.other), ` and set ${money(e.amount_micro || 0)} aside for ${energy(e.energy_wh || 0)}`],
  pay: e => [party(e.who), ' chose ', party(e.other), ` and bound ${money(e.amount_micro || 0)} to ${energy(e.energy_wh || 0)}`],
  start: e => [party(e.who), ' began to deliver; its gate was open'],
  hold: e => [party(e.who), ' told what its meter showed when a hazard stopped the delivery'],
  resume: e => [party(e.who), ' went on delivering'],
  reading: e => [party(e.who), ' read its meter'],
  bill: e => [party(e.who), ` billed ${energy(e.energy_wh || 0)}, ${money(e.amount_micro || 0)}`],
  confirm: e => [party(e.who), ` told that ${energy(e.energy_wh || 0)} came`],
  word: e => ['A person spoke to ', party(e.who)],
  meter_registration: () => ['The centre registered a meter'],
  meter_change: () => ['The centre registered a new meter for an old one'],
  meter_retire: () => ['The centre retired a meter'],
  bond: e => [party(e.who), ' put money into its bond'],
  unbond: e => [party(e.who), ' asked for money of its bond'],
  appeal: e => [party(e.who), ' asked the arbiters to look at the trade'],
  verdict: e => ['An arbiter, ', e.who, ', found'],
  grant: e => ['An arbiter, ', e.who, ', granted money of the fund'],
  report: e => [e.who, ' reported what it saw of the other data aggregators'],
  tick: e => [e.who, ' asked that what is due is done'],
  rejoin: e => [e.who, ' asked to take part again'],
  approval: e => ['An auditor, ', e.who, ', approved money that comes or goes'],
  reversal: () => ['The centre asked that a deposit is taken back'],
  withdrawal: e => [party(e.who), ' asked for money out of its wallet'],
  payout: () => ['The centre told that the bank has paid money out'],
  warning_notice: () => ['The centre passed on an official warning'],
  admit: () => ['The centre named a data aggregator that is to take part'],
  retire: e => [e.who, ' asked that a data aggregator leaves'],
  rekey: e => [e.who, ' asked for another key of a data aggregator'],
  move: e => [e.who, ' told of another address of a data aggregator'],
  equivocation: e => [e.who, ' showed two things that a data aggregator signed for one place'],
  key_change: e => [party(e.who), ' took another key'],
  revoke: e => [e.who, ' took a key out of use for good'],
  suspend: () => ['The centre suspended a member'],
  reinstate: () => ['The centre let a member take part again'],
  member_change: () => ['The centre changed what is registered of a member'],
  ask: e => [party(e.who), ' told what it sells in a slot, and for how much'],
  bid: e => [party(e.who), ' told what it buys in a slot, and for how much'],
  slot_reading: e => [party(e.who), ' told what its meter showed between two slots'],
  sharing_terms: () => ['The centre told at which price and by which parts slots are shared'],
  release: e => [party(e.who), ' gave a Token back that it does not use'],
};

const stepSays = {
  kept: 'kept a promise', broke: 'broke a promise', excused: 'was excused', forgot: 'has had a period forgotten', fined: 'was fined', made_good: 'was made good',
  charged: 'was charged for a gap between meters; the money is held', returned: 'has its charge back', listed: 'may not trade', back: 'may trade again',
  bonded: 'has more bond', unbonded: 'asked for bond back', left: 'has bond back in its wallet', due_paid: 'paid a fine that it owed', case: 'has an open case',
  found: 'has a verdict', closed: 'has a case closed', granted: 'was granted money',
  restored: 'has its credit back', cleared: 'traded in a slot', left_out: 'took no part in a slot', chose: 'chose a seller',
  key_changed: 'has another key', revoked: 'takes part in nothing new: its key was revoked', suspended: 'is suspended', reinstated: 'takes part again', changed: 'is registered otherwise',
};

const moveSays = {
  deposit: 'was credited a deposit', escrowed: 'had money set aside', returned: 'got money back', bought: 'paid for energy', sold: 'was paid for energy',
  gap: 'left money in the fund for a gap between meters', bonded: 'moved money into its bond', unbonded: 'got bond back', fined: 'was fined', charged: 'was charged',
  charge_back: 'got a charge back', made_good: 'was made good', granted: 'was granted money', due: 'paid a fine that it owed',
  lot: 'had money set aside moved to a trade', reversed: 'had a deposit taken back', withdrawn: 'asked for money out', paid_out: 'was paid out by the bank', withdrawal_back: 'got money back that it had asked out',
};

const statusSays = {
  escrowed: 'The money is set aside; the buyer has not chosen a seller', paid: 'The buyer has chosen; the seller may deliver', delivering: 'Energy is being delivered',
  held: 'A hazard holds the delivery', cleared: 'Of a slot: it is paid by the readings at its ends', billed: 'The seller has billed; the buyer is to confirm', settled: 'Settled: the energy came and is paid',
  settled_partly: 'Settled in part: what came is paid, the rest of the money went back', refunded: 'Over without delivery: the money went back',
  disputed: 'The meters differ: the rest of the money is held', failed: 'Failed: the seller did not deliver, the money went back',
};

function entryText(e) {
  switch (e.kind) {
    case 'record': {
      const say = recordSays[e.what] ? recordSays[e.what](e) : [party(e.who), ' sent: ', words(e.what)];
      return [say, e.code ? el('span', { class: 'badge bad' }, 'refused: ' + words(e.code)) : '', e.unknown ? el('span', { class: 'badge' }, 'outcome not kept here') : ''];
    }
    case 'status': return el('b', {}, statusSays[e.what] || words(e.what));
    case 'step': return [party(e.who), ' ', stepSays[e.what] || words(e.what), e.amount_micro ? ', ' + money(e.amount_micro) : '', e.energy_wh > 0 ? ', ' + energy(e.energy_wh) : '',
      e.credit_e6 ? `; credit ${(e.credit_e6 / 1e6).toFixed(3)}` : '', e.until_ms ? ', until ' + moment(e.until_ms) : ''];
    default: return [party(e.who), ' ', moveSays[e.what] || words(e.what), ': ',
      [['wallet', e.wallet_micro], ['escrow', e.escrow_micro], ['bond', e.bond_micro]].filter(p => p[1]).map(p => `${p[0]} ${signed(p[1])}`).join(', ')];
  }
}

function entryRow(e, about) {
  return el('li', { class: 'entry ' + e.kind },
    el('span', { class: 'when' }, time(e.time_ms)),
    el('span', {}, entryText(e), '.', e.text ? [' ', el('span', {}, e.text), '.'] : '',
      e.trade && about !== e.trade ? [' Trade ', link('trade', e.trade), '.'] : '',
      el('span', { class: 'proof muted small' }, ' ', link('block', e.height, `block ${whole.format(e.height)}`),
        e.kind === 'record' && e.record ? [`, record ${e.record.slice(0, 8)}…`, e.unknown ? '' : [', ', el('a', { href: `api/v1/records/${e.record}/proof`, download: '' }, 'proof')]] : '')));
}

// storyList shows a story and asks for more of it when told.
function storyList(path, about, oldestFirst) {
  const list = el('ol', { class: 'story' }), more = el('button', { type: 'button', class: 'more', hidden: true }, 'Earlier'), note = el('p', { class: 'small muted' });
  const load = async before => {
    const s = await ask(path + (before ? '?before=' + before : ''));
    const rows = (oldestFirst ? [...s.entries].sort((a, b) => a.height - b.height || a.seq - b.seq) : s.entries).map(e => entryRow(e, about));
    if (!before) list.replaceChildren(...rows); else if (oldestFirst) list.prepend(...rows); else list.append(...rows);
    more.hidden = !s.next;
    more.onclick = () => load(s.next).catch(problem(note));
    note.textContent = !list.children.length ? 'The blocks kept here say nothing of it.' : !s.next && s.kept_from > 1 ? `Blocks below ${whole.format(s.kept_from)} are not looked up here; aggregator chain show has them all.` : '';
  };
  return { nodes: oldestFirst ? [more, list, note] : [list, more, note], load };
}

const problem = note => err => { note.textContent = `The answer did not come: ${err.message}. It is tried again by itself.`; };
