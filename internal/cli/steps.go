package cli

import (
	"fmt"
	"strings"

	"github.com/sluice-dev/sluice/internal/view"
)

// marks of the steps.
var marks = map[view.StepState]cell{
	view.StepDone:    {"✔", green},
	view.StepCurrent: {"●", yellow},
	view.StepToCome:  {"○", dim},
	view.StepStopped: {"✘", red},
	view.StepSkipped: {"»", dim},
}

func (t tree) showSteps(b *strings.Builder) {
	steps := t.picture.Steps
	if len(steps.List) == 0 {
		return
	}
	t.title(b, steps.Title)
	tab := table{indent: "  ", gap: 2}
	for _, s := range steps.List {
		mark, weight := marks[s.State], fmt.Sprintf("%d%%", s.Weight)
		if s.State == view.StepAdded {
			weight = ""
		}
		tab.row(mark, cell{fmt.Sprint(s.Number), dim}, cell{s.Name, plain}, cell{weight, mark.colour},
			cell{s.Match, plain}, cell{s.Gates, plain}, cell{s.Next, yellow})
	}
	end := steps.Complete
	tab.row(marks[end.State], cell{}, cell{end.Name, plain}, cell{}, cell{}, cell{end.Gates, dim})
	tab.write(b, t.paint)
}
