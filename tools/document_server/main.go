// A small document database that speaks MongoDB's protocol, for tests: FerretDB on SQLite.
// Usage: document-server ADDRESS FOLDER; says its URI on stdout, runs until it is killed.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: document-server ADDRESS FOLDER")
		os.Exit(2)
	}
	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: os.Args[1]},
		Logger:    slog.New(slog.NewTextHandler(io.Discard, nil)),
		Handler:   "sqlite",
		SQLiteURL: "file:" + os.Args[2] + "/",
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "document-server:", err)
		os.Exit(1)
	}
	fmt.Println(server.MongoDBURI())
	if err := server.Run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "document-server:", err)
		os.Exit(1)
	}
}
