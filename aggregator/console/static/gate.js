'use strict';
// What a gate counts as, and in which words. The words are those of
// proto/wire/words.go; the server has judged the state as proto/wire/sight.go says.

const hour = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });
let ahead = 0; // the server's clock less ours, in ms
let lost = 0; // since when nothing is heard of the server, by our clock; 0: it is

const now = () => Date.now() + ahead;

// moment says a time for people: the day too where that is not today.
function moment(ms) {
  const t = new Date(ms), today = new Date(now());
  return (t.toDateString() === today.toDateString() ? '' : day.format(t) + ' ') + hour.format(t);
}

// seen is what a gate counts as on this page. It never says more than the server
// did: without the server, or past the moment at which the server's word lapses,
// nothing is known.
function seen(g) {
  if (lost) return { state: 'UNKNOWN', why: 'this page has no connection', since: lost + ahead };
  if (g.state === 'OPEN' && !g.lapses_ms) return { state: 'UNKNOWN', why: 'the server does not say until when it holds' };
  if (g.lapses_ms && now() > g.lapses_ms) {
    return { state: 'EXPIRED', why: `its last message is past its validity; it said ${g.said || g.state}`, since: g.lapses_ms };
  }
  return { state: g.state, why: g.why, since: g.why_since_ms };
}

function stateSentence(g) {
  const since = g.since_ms ? ' since ' + moment(g.since_ms) : '';
  switch (g.said || g.state) {
    case 'OPEN': return `Trading is open${since}.`;
    case 'INIT': return 'Nothing has been judged yet.';
    case 'BLOCKED': case 'CLEARING': break;
    default: return '';
  }
  const clearing = (g.said || g.state) === 'CLEARING';
  const text = (clearing ? 'No cause is left' : 'Trading is blocked') + since;
  if (g.waits) return `${text}; it waits for ${g.waits}.`;
  if (!g.opens_at_ms) return text + '.';
  return `${text}; it opens at ${moment(g.opens_at_ms)} ${clearing ? 'if nothing new happens' : 'at the earliest'}.`;
}

function causeSentence(c) {
  if (!c.title) return `${c.rule}: ${c.text}.`;
  let s = `${c.title} (${c.rule})`;
  if (c.says) s += ': ' + c.says;
  if (c.since_ms) s += ', since ' + moment(c.since_ms);
  if (c.ends) s += '; ends ' + c.ends + (c.ends_at_ms ? ' at ' + moment(c.ends_at_ms) : '');
  return s + '.';
}
