// Package notify carries Notifiers out: it finds what there is to tell of Releases, and has it delivered. How a message
// looks and how it is delivered is told in internal/notify.
//
// Nothing waits for a sink: workers hand messages to a queue, and look again when it says what became of them. What was
// dealt with is kept in status.cursor, so that a new process neither tells it again nor loses what has happened
// meanwhile.
//
// It may import api, kube, metric (for what may be reached), notify, release and the registry.
package notify
