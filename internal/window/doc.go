// Package window knows when releases may advance: given ReleaseWindows and a moment, Look says whether they are open,
// and if not, why and when they open next.
//
// The package is pure. It takes values and returns values, the time included. Time zones come from time.LoadLocation;
// the program embeds time/tzdata (in cmd), so that they are there in an image without any.
//
// How days and hours of a place become moments: clock.go. The periods: weekly.go, cron.go, period.go. How a spec is
// read: parse.go. The answer: look.go.
//
// It may import api for the spec, and the standard library without os, net and time.Now. The controllers and the
// command line import it.
package window
