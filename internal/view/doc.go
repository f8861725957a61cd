// Package view makes one picture of a release from the objects that were read: what the command line shows of it,
// and the console will. It is pure: it reads nothing, it asks no clock, and the same objects give the same
// picture. Whoever shows the picture lays it out, and says how long ago things were.
//
// It may import api, release, translate and traffic, and Kubernetes' types. It may be imported by cli and console.
package view
