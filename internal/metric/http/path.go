package http

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/client-go/util/jsonpath"

	"github.com/sluice-dev/sluice/internal/metric"
)

const (
	// maxSteps bounds the work on a document, which [0,0][0,0]... and the like would let grow without end.
	maxSteps = 1_000_000
	// maxSize bounds what is found: a part that is found many times is there once, but a condition goes through it each
	// time.
	maxSize = 2 * metric.MaxBody
)

// path takes a part of a document. The zero path takes all of it.
//
// It is the JSONPath of kubectl, as far as that takes one thing or a list of things: the parser is Kubernetes' own.
// What is parsed is followed here, since Kubernetes' way knows no bound, panics on some nulls, and cannot compare 1
// with 2.5.
type path struct {
	nodes []jsonpath.Node
	many  bool // gives a list, whatever it finds
}

func parsePath(text string) (path, error) {
	if text == "" {
		return path{}, nil
	}
	parser, err := jsonpath.Parse("http.jsonPath", text)
	if err != nil {
		return path{}, fmt.Errorf("http.jsonPath: %w", err)
	}
	root := parser.Root.Nodes
	if len(root) != 1 || root[0].Type() != jsonpath.NodeList {
		return path{}, errors.New("http.jsonPath: write one path in braces, as {.data.ok}")
	}
	p := path{nodes: root}
	if p.many, err = check(root, false); err != nil {
		return path{}, fmt.Errorf("http.jsonPath: %w", err)
	}
	return p, nil
}

var (
	errPart = errors.New("has a part that is not supported here, as a text, or range and end")
	errStep = errors.New("the step of a slice must be 1 or more")
)

// check says whether the nodes may find several things, and what is not supported.
func check(nodes []jsonpath.Node, inFilter bool) (many bool, err error) {
	for _, n := range nodes {
		several, err := checkOne(n, inFilter)
		if err != nil {
			return false, err
		}
		many = many || several
	}
	return many, nil
}

func checkOne(n jsonpath.Node, inFilter bool) (many bool, err error) {
	switch n := n.(type) {
	case *jsonpath.ListNode:
		return check(n.Nodes, inFilter)
	case *jsonpath.FieldNode:
		return false, nil
	case *jsonpath.ArrayNode:
		if step := n.Params[2]; step.Known && step.Value <= 0 {
			return false, errStep
		}
		return !n.Params[1].Derived, nil
	case *jsonpath.WildcardNode, *jsonpath.RecursiveNode:
		return true, nil
	case *jsonpath.FilterNode:
		return true, checkLists(true, n.Left, n.Right)
	case *jsonpath.UnionNode:
		return true, checkLists(inFilter, n.Nodes...)
	case *jsonpath.IntNode, *jsonpath.FloatNode, *jsonpath.BoolNode, *jsonpath.TextNode:
		if inFilter { // there they are what is compared with
			return false, nil
		}
	}
	return false, errPart
}

func checkLists(inFilter bool, lists ...*jsonpath.ListNode) error {
	for _, l := range lists {
		if l == nil { // a filter that asks only whether something is there has no right side
			continue
		}
		if _, err := check(l.Nodes, inFilter); err != nil {
			return err
		}
	}
	return nil
}

// from takes the part out of a document, all of whose numbers are float64.
func (p path) from(v any) (any, error) {
	if p.nodes == nil {
		return v, nil
	}
	w := walk{left: maxSteps}
	found, err := w.list([]any{v}, p.nodes)
	if err == nil {
		w.left = maxSize
		err = w.size(found)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("http.jsonPath: %w", err)
	case p.many:
		return append([]any{}, found...), nil // A list also of nothing.
	case len(found) == 0:
		return nil, metric.NoData{Why: "http.jsonPath finds nothing in the answer"}
	}
	return found[0], nil
}

// walk follows a path; left are the steps that it may still take.
type walk struct{ left int }

var (
	errSteps   = errors.New("takes too many steps over this answer")
	errKinds   = errors.New("a filter compares values of different kinds, or of a kind without an order")
	errSeveral = errors.New("a filter compares several values at once")
)

func (w *walk) spend(n int) error {
	if w.left -= n; w.left < 0 {
		return errSteps
	}
	return nil
}

// size spends a step for each value in v and each byte of its texts.
func (w *walk) size(v any) error {
	n := 1
	switch v := v.(type) {
	case string:
		n += len(v)
	case []any:
		for _, x := range v {
			if err := w.size(x); err != nil {
				return err
			}
		}
	case map[string]any:
		for k, x := range v {
			n += len(k)
			if err := w.size(x); err != nil {
				return err
			}
		}
	}
	return w.spend(n)
}

func (w *walk) list(in []any, nodes []jsonpath.Node) (out []any, err error) {
	out = in
	for _, n := range nodes {
		if out, err = w.node(out, n); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (w *walk) node(in []any, n jsonpath.Node) ([]any, error) {
	switch n := n.(type) {
	case *jsonpath.ListNode:
		return w.list(in, n.Nodes)
	case *jsonpath.UnionNode:
		var out []any
		for _, l := range n.Nodes {
			part, err := w.list(in, l.Nodes)
			if err != nil {
				return nil, err
			}
			out = append(out, part...)
		}
		return out, nil
	case *jsonpath.IntNode:
		return []any{float64(n.Value)}, nil
	case *jsonpath.FloatNode:
		return []any{n.Value}, nil
	case *jsonpath.BoolNode:
		return []any{n.Value}, nil
	case *jsonpath.TextNode:
		return []any{n.Text}, nil
	}
	var out []any
	for _, v := range in {
		found, err := w.one(v, n)
		if err != nil {
			return nil, err
		}
		if err := w.spend(1 + len(found)); err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// one follows a node from one value. Where the value has not what the node asks for, nothing is found.
func (w *walk) one(v any, n jsonpath.Node) ([]any, error) {
	switch n := n.(type) {
	case *jsonpath.FieldNode:
		m, _ := v.(map[string]any)
		if n.Value == "" {
			return []any{v}, nil
		}
		if x, ok := m[n.Value]; ok {
			return []any{x}, nil
		}
	case *jsonpath.ArrayNode:
		l, _ := v.([]any)
		return slice(l, n.Params), nil
	case *jsonpath.WildcardNode:
		return children(v), nil
	case *jsonpath.RecursiveNode:
		return w.below(nil, v)
	case *jsonpath.FilterNode:
		return w.filter(v, n)
	}
	return nil, nil
}

func slice(l []any, p [3]jsonpath.ParamsEntry) []any {
	start, end, step := 0, len(l), 1
	if p[0].Known {
		start = p[0].Value
	}
	if start < 0 {
		start += len(l)
	}
	if p[1].Derived { // of one place
		if start < 0 || start >= len(l) {
			return nil
		}
		return l[start : start+1]
	}
	if p[1].Known {
		end = p[1].Value
	}
	if end < 0 {
		end += len(l)
	}
	if p[2].Known {
		step = p[2].Value
	}
	var out []any
	for i := max(start, 0); i < min(end, len(l)); i += step {
		out = append(out, l[i])
	}
	return out
}

// children are the values of a list, or of a map in the order of its keys.
func children(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case map[string]any:
		out := make([]any, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out = append(out, v[k])
		}
		return out
	}
	return nil
}

// below appends a value and whatever it has in it, but not the leaves: what follows .. is looked for in each.
func (w *walk) below(out []any, v any) ([]any, error) {
	inside := children(v)
	if len(inside) == 0 {
		return out, nil
	}
	err := w.spend(1 + len(inside))
	out = append(out, v)
	for _, x := range inside {
		if err != nil {
			return nil, err
		}
		out, err = w.below(out, x)
	}
	return out, err
}

func (w *walk) filter(v any, n *jsonpath.FilterNode) ([]any, error) {
	l, _ := v.([]any)
	var out []any
	for _, x := range l {
		holds, err := w.holds(x, n)
		if err != nil {
			return nil, err
		}
		if holds {
			out = append(out, x)
		}
	}
	return out, nil
}

func (w *walk) holds(v any, n *jsonpath.FilterNode) (bool, error) {
	if err := w.spend(1); err != nil {
		return false, err
	}
	left, err := w.list([]any{v}, n.Left.Nodes)
	if err != nil || n.Operator == "exists" {
		return len(left) > 0, err
	}
	right, err := w.list([]any{v}, n.Right.Nodes)
	switch {
	case err != nil:
		return false, err
	case len(left) == 0 || len(right) == 0:
		return false, nil
	case len(left) > 1 || len(right) > 1:
		return false, errSeveral
	}
	return compare(left[0], right[0], n.Operator)
}
