// Package sim is a model world for the mind of Sluice: an API server with watches that lag, the controllers of
// Kubernetes, two gateways and a node network that apply each change in their own time, clients, people, agents
// that re-apply, and hands that carry decisions out and crash. Everything runs in one goroutine in virtual time
// from a seed, so that a whole release takes well under a millisecond and every failure can be replayed.
//
// The files, from the ground up:
//
//	object.go, store.go    what is stored: versions, conditions on writes, watch streams
//	workload.go            the Deployment and ReplicaSet controllers and the kubelet of Kubernetes 1.36
//	dataplane.go           endpoints, gateways, clients
//	actor.go               admission, agents, people
//	clock.go               the clocks, which somebody sets
//	gate.go                analyses, who may approve, release windows
//	view.go, hand.go,      the hands: caches, observation, one conditional write after the other
//	carry.go, rest.go
//	check*.go              the invariants, one function each
//	scenario*.go, fault.go the exhaustive pass; scenario_keep.go has blue-green and the old pods that are kept
//	picture.go, ending.go  what can be seen of a world, and what a story has come to, in words that fit any world
//	settle.go              what must be true when everything has come to rest
//	random.go, shrink.go   seeded mixtures, and how a failure is made small
//	mutant*.go             known bugs, put in on purpose: the suite must find each
//
// A failure names its seed and prints the smallest story that does the same; saved in testdata, it is played ever
// after. One seed alone, with what happens in it:
//
//	go test ./test/sim -run TestRandom -sim.seed=4711
//
// More of it, or from another seed on: -sim.actions=10000000 -sim.from=1000000. Known bugs and what finds them:
//
//	go test ./test/sim -run TestMutants -v
//
// The hands are a model of the controller, and a model may be wrong. So the same stories are played a second time: by the
// real controller on the fake cluster of internal/controller/rollout (TestStories there), also in virtual time, but a
// thousand times slower. A Scenario's moments are asked of a Picture, its Cast acts on a Stage, and what it comes to is an
// Ending: each world has its own. Where the two end differently, one of them is wrong.
//
// It may import internal/release, and internal/kube/clock, which the hands run on; only tests import it.
package sim
