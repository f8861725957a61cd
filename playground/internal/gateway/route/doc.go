// Package route is the gateway's pure half: API objects in, an immutable
// routing table out, and from the table one choice per request.
//
// Translate turns what the API server holds (World) into a Table plus what has
// to be said about it: route statuses and problems. Table.Match says what to do
// with one request; chance comes in as a function, so that a test can fix it.
// Nothing here does I/O, reads a clock or changes after it was built.
//
// Only package gateway may import it.
package route
