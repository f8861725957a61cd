// Package notify tells people what releases do, and above all what they wait for. It is the room of the sinks: each
// folder below takes a Message to one service, in that service's form and within its limits. The parent has what they
// share: texts and templates, the HTTP request that tells no secret, and the Queue, which never holds up whoever has
// something to tell.
//
// An address of a webhook is a secret, since whoever knows it can write there. So no error names one.
//
// It may import the standard library. Sinks import this package and never each other. Registry lists them; controllers
// know this package only.
package notify
