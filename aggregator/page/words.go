package page

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/console"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
)

// maxWords bounds what the page keeps of people's words.
const maxWords = 50

// wordKinds are the kinds of words by what the page calls them.
var wordKinds = map[fairwattpb.WordKind]string{
	fairwattpb.WordKind_WORD_KIND_ACK: "ack", fairwattpb.WordKind_WORD_KIND_BLOCK: "block", fairwattpb.WordKind_WORD_KIND_UNBLOCK: "unblock",
}

// showWord returns the word of a record, if it is one.
func showWord(r *fairwattpb.Record, height uint64) (console.Word, bool) {
	w := r.GetWord()
	if w == nil {
		return console.Word{}, false
	}
	return console.Word{
		Device: r.GetSender(), Do: wordKinds[w.GetKind()], Rule: w.GetRule(), By: w.GetBy(), Why: w.GetWhy(), Owner: w.GetOwner(),
		UntilMs: w.GetUntilMs(), TimeMs: r.GetTimeMs(), Height: height, Simulated: r.GetSimulated(),
	}, true
}

// wordsOf returns the words in the sealed records of a block of the store, in their
// order. The ledger has checked them.
func wordsOf(records [][]byte, height uint64) ([]console.Word, error) {
	var out []console.Word
	for i, sealed := range records {
		_, payload, err := seal.Peek(sealed)
		if err != nil {
			return nil, fmt.Errorf("record %d of block %d: %w", i, height, err)
		}
		var r fairwattpb.Record
		if err := proto.Unmarshal(payload, &r); err != nil {
			return nil, fmt.Errorf("record %d of block %d: %w", i, height, err)
		}
		if w, is := showWord(&r, height); is {
			out = append(out, w)
		}
	}
	return out, nil
}

// spoken puts words in front, the last one first.
func spoken(list, words []console.Word) []console.Word {
	for _, w := range words {
		list = slices.Insert(list, 0, w)
	}
	return list[:min(len(list), maxWords)]
}
