// Checks a receipt and a consistency proof with Go's own packages for transparency logs.
//
// Standard input: JSON with what the test has taken apart; the packages see hashes, proofs and signed notes only.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type question struct {
	Key         string
	Row         []byte
	Index       int64
	TreeSize    int64
	Path        []tlog.Hash
	Root        tlog.Hash
	Head        []byte
	HeadsIndex  int64
	HeadsSize   int64
	HeadsPath   []tlog.Hash
	HeadsRoot   tlog.Hash
	Checkpoint  string
	OldSize     int64
	OldRoot     tlog.Hash
	Consistency []tlog.Hash
}

func check(err error, what string) {
	if err != nil {
		fmt.Println(what, err)
		os.Exit(1)
	}
}

func main() {
	var q question
	check(json.NewDecoder(os.Stdin).Decode(&q), "question")
	check(tlog.CheckRecord(q.Path, q.TreeSize, q.Root, q.Index, tlog.RecordHash(q.Row)), "row")
	check(tlog.CheckRecord(q.HeadsPath, q.HeadsSize, q.HeadsRoot, q.HeadsIndex, tlog.RecordHash(q.Head)), "head")
	check(tlog.CheckTree(q.Consistency, q.HeadsSize, q.HeadsRoot, q.OldSize, q.OldRoot), "consistency")
	verifier, err := note.NewVerifier(q.Key)
	check(err, "key")
	opened, err := note.Open([]byte(q.Checkpoint), note.VerifierList(verifier))
	check(err, "note")
	fmt.Print(opened.Text)
}
