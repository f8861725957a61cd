package window

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // The tests are to say the same on every machine.

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func weeklyOf(from, to string, days ...v1alpha1.Weekday) v1alpha1.WindowPeriod {
	return v1alpha1.WindowPeriod{Weekly: &v1alpha1.WeeklyPeriod{Days: days, From: from, To: to}}
}

func cronOf(schedule string, lasts time.Duration) v1alpha1.WindowPeriod {
	return v1alpha1.WindowPeriod{Cron: &v1alpha1.CronPeriod{Schedule: schedule, Duration: metav1.Duration{Duration: lasts}}}
}

func datesOf(from, until, reason string) v1alpha1.WindowPeriod {
	return v1alpha1.WindowPeriod{Reason: reason, Dates: &v1alpha1.DatesPeriod{From: metav1.NewTime(at(from)), Until: metav1.NewTime(at(until))}}
}

func allow(zone string, periods ...v1alpha1.WindowPeriod) v1alpha1.ReleaseWindowSpec {
	return v1alpha1.ReleaseWindowSpec{TimeZone: zone, Allow: periods}
}

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

func parse(t testing.TB, name string, s v1alpha1.ReleaseWindowSpec) Window {
	t.Helper()
	w, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	w.Name = name
	return w
}

const (
	berlin  = "Europe/Berlin"
	newYork = "America/New_York"
)

// TestLook is a table of moments: whether open, and when that changes next. In 2026 the clocks of Berlin are put forward
// on 29 March at 01:00 UTC, and back on 25 October at 01:00 UTC; those of New York on 8 March at 07:00 UTC and on
// 1 November at 06:00 UTC.
func TestLook(t *testing.T) {
	office := allow(berlin, weeklyOf("09:00", "17:00", "Mon", "Tue", "Wed", "Thu", "Fri"))
	night := allow(berlin, weeklyOf("22:00", "06:00", "Fri"))
	holidays := v1alpha1.ReleaseWindowSpec{TimeZone: berlin, Freeze: []v1alpha1.WindowPeriod{
		datesOf("2026-12-23T12:00:00+01:00", "2027-01-04T08:00:00+01:00", "Christmas"),
	}}
	both := office
	both.Freeze = holidays.Freeze
	for _, c := range []struct {
		name   string
		spec   v1alpha1.ReleaseWindowSpec
		now    string
		open   bool
		change string // empty: none within a year
	}{
		{"office, Monday morning", office, "2026-01-12T07:59:59Z", false, "2026-01-12T08:00:00Z"},
		{"office, as it opens", office, "2026-01-12T08:00:00Z", true, "2026-01-12T16:00:00Z"},
		{"office, as it closes", office, "2026-01-12T16:00:00Z", false, "2026-01-13T08:00:00Z"},
		{"office, over the weekend and into summer time", office, "2026-03-27T16:00:00Z", false, "2026-03-30T07:00:00Z"},
		{"night, before midnight", night, "2026-01-16T21:30:00Z", true, "2026-01-17T05:00:00Z"},
		{"night, after midnight", night, "2026-01-17T04:59:59Z", true, "2026-01-17T05:00:00Z"},
		{"night, Saturday night", night, "2026-01-17T21:30:00Z", false, "2026-01-23T21:00:00Z"},
		{"a whole day", allow(berlin, weeklyOf("00:00", "24:00", "Sat")), "2026-01-17T10:00:00Z", true, "2026-01-17T23:00:00Z"},
		{"every day all day", allow(berlin, weeklyOf("00:00", "24:00")), "2026-01-17T10:00:00Z", true, ""},
		{"holidays, before", holidays, "2026-12-01T00:00:00Z", true, "2026-12-23T11:00:00Z"},
		{"holidays, in them", holidays, "2026-12-23T11:00:00Z", false, "2027-01-04T07:00:00Z"},
		{"holidays, after them", holidays, "2027-01-04T07:00:00Z", true, ""},
		{"a freeze within hours", both, "2026-12-23T10:00:00Z", true, "2026-12-23T11:00:00Z"},
		{"a freeze that ends before the hours", both, "2026-12-28T09:00:00Z", false, "2027-01-04T08:00:00Z"},

		{"Berlin, put forward: begins in the gap", allow(berlin, weeklyOf("02:30", "05:00")), "2026-03-29T00:59:59Z", false, "2026-03-29T01:00:00Z"},
		{"Berlin, put forward: ends in the gap", allow(berlin, weeklyOf("01:00", "02:30")), "2026-03-29T00:30:00Z", true, "2026-03-29T01:00:00Z"},
		{"Berlin, put forward: all in the gap", allow(berlin, weeklyOf("02:15", "02:45")), "2026-03-29T00:30:00Z", false, "2026-03-30T00:15:00Z"},
		{"Berlin, put back: begins in the hour twice", allow(berlin, weeklyOf("02:30", "04:00")), "2026-10-25T00:29:59Z", false, "2026-10-25T00:30:00Z"},
		{"Berlin, put back: stays open", allow(berlin, weeklyOf("02:30", "04:00")), "2026-10-25T00:30:00Z", true, "2026-10-25T03:00:00Z"},
		{"Berlin, put back: ends at the second time", allow(berlin, weeklyOf("01:00", "02:30")), "2026-10-25T00:30:00Z", true, "2026-10-25T01:30:00Z"},
		{"Berlin, put back: begins right after", allow(berlin, weeklyOf("03:00", "05:00")), "2026-10-25T01:30:00Z", false, "2026-10-25T02:00:00Z"},
		{"Berlin, put back: ends right before", allow(berlin, weeklyOf("01:00", "02:00")), "2026-10-24T23:30:00Z", true, "2026-10-25T00:00:00Z"},
		{"New York, put forward", allow(newYork, weeklyOf("02:30", "05:00")), "2026-03-08T06:00:00Z", false, "2026-03-08T07:00:00Z"},
		{"New York, put back", allow(newYork, weeklyOf("01:30", "03:00")), "2026-11-01T05:30:00Z", true, "2026-11-01T08:00:00Z"},
		{"New York, the day after", allow(newYork, weeklyOf("01:30", "03:00")), "2026-11-01T08:00:00Z", false, "2026-11-02T06:30:00Z"},
		{"Lord Howe, half an hour back", allow("Australia/Lord_Howe", weeklyOf("01:45", "03:00")), "2026-04-04T15:00:00Z", true, "2026-04-04T16:30:00Z"},
		{"Samoa, the day that never was", allow("Pacific/Apia", weeklyOf("09:00", "10:00", "Fri")), "2011-12-29T00:00:00Z", false, "2012-01-05T19:00:00Z"},

		{"Kolkata, half an hour off", allow("Asia/Kolkata", weeklyOf("09:00", "17:00")), "2026-01-12T03:29:59Z", false, "2026-01-12T03:30:00Z"},
		{"Kathmandu, three quarters off", allow("Asia/Kathmandu", weeklyOf("09:00", "17:00")), "2026-01-12T03:15:00Z", true, "2026-01-12T11:15:00Z"},

		{"cron, before", allow("", cronOf("0 22 * * FRI", 4*time.Hour)), "2026-01-16T21:59:59Z", false, "2026-01-16T22:00:00Z"},
		{"cron, within", allow("", cronOf("0 22 * * FRI", 4*time.Hour)), "2026-01-17T01:59:59Z", true, "2026-01-17T02:00:00Z"},
		{"cron, one after the other", allow("", cronOf("0 0,8,16 * * *", 8*time.Hour)), "2026-01-17T01:59:59Z", true, ""},
		{"cron, overlapping", allow("", cronOf("0 8 12 1 *", 4*time.Hour), cronOf("0 10 12 1 *", 4*time.Hour)), "2026-01-12T09:00:00Z", true, "2026-01-12T14:00:00Z"},
		{"cron, one that lasts a month", allow("", cronOf("0 0 1 * *", 744*time.Hour)), "2026-02-20T00:00:00Z", true, ""},
		{"cron, begins in the gap", allow(berlin, cronOf("30 2 * * *", time.Hour)), "2026-03-29T00:00:00Z", false, "2026-03-29T01:00:00Z"},
		{"cron, lasts by the stopwatch", allow(berlin, cronOf("30 2 * * *", time.Hour)), "2026-03-29T01:00:00Z", true, "2026-03-29T02:00:00Z"},
		{"cron, the hour twice, named", allow(berlin, cronOf("30 2 * * *", time.Hour)), "2026-10-25T01:30:00Z", false, "2026-10-26T01:30:00Z"},
		{"cron, the hour twice, any", allow(berlin, cronOf("30 * * * *", 10*time.Minute)), "2026-10-25T00:40:00Z", false, "2026-10-25T01:30:00Z"},
		{"cron, as the clock is put forward", allow(berlin, cronOf("0 * * * *", 10*time.Minute)), "2026-03-29T01:05:00Z", true, "2026-03-29T01:10:00Z"},
		// There the clock was put back at 00:01, to 23:01 of the day before, at 02:31 UTC.
		{"St. John's, before", allow("America/St_Johns", cronOf("0,30 * * * *", 5*time.Minute)), "2009-11-01T02:29:00Z", false, "2009-11-01T02:30:00Z"},
		{"St. John's, the day before again", allow("America/St_Johns", cronOf("0,30 * * * *", 5*time.Minute)), "2009-11-01T03:01:00Z", true, "2009-11-01T03:05:00Z"},
		{"St. John's, over two midnights", allow("America/St_Johns", weeklyOf("23:59", "23:58", "Fri")), "2009-11-01T02:30:30Z", true, "2009-11-01T03:28:00Z"},
		{"cron, day or weekday", allow("", cronOf("0 0 13 * FRI", time.Hour)), "2026-01-10T00:00:00Z", false, "2026-01-13T00:00:00Z"},
		{"cron, day and weekday", allow("", cronOf("0 0 1-7 * */7", time.Hour)), "2026-01-10T00:00:00Z", false, "2026-02-01T00:00:00Z"},

		{"29 February in a leap year", allow("", cronOf("0 0 29 2 *", time.Hour)), "2027-03-01T00:00:00Z", false, "2028-02-29T00:00:00Z"},
		{"29 February, further than a year", allow("", cronOf("0 0 29 2 *", time.Hour)), "2026-12-01T00:00:00Z", false, ""},
		{"2100 is no leap year", allow("", cronOf("0 0 29 2 *", time.Hour)), "2099-06-01T00:00:00Z", false, ""},
		{"28 February in a leap year, over midnight", allow("", weeklyOf("23:00", "01:00", "Mon")), "2028-02-28T23:30:00Z", true, "2028-02-29T01:00:00Z"},
		{"dates that are over", allow("", datesOf("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z", "")), "2026-01-01T00:00:00Z", false, ""},
		{"dates far away", allow("", datesOf("2036-01-01T00:00:00Z", "2036-01-02T00:00:00Z", "")), "2026-01-01T00:00:00Z", false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Look([]Window{parse(t, "w", c.spec)}, at(c.now))
			change := s.Until
			if s.Open {
				change = s.Closes
			}
			got := ""
			if !change.IsZero() {
				got = change.Format(time.RFC3339)
			}
			if s.Open != c.open || got != c.change {
				t.Errorf("open %v until %q, want %v until %q: %s", s.Open, got, c.open, c.change, s.Reason)
			}
		})
	}
}

func TestSeveralWindows(t *testing.T) {
	office := parse(t, "office", allow(berlin, weeklyOf("09:00", "17:00", "Mon", "Tue", "Wed", "Thu", "Fri")))
	early := parse(t, "early", allow("", weeklyOf("00:00", "12:00")))
	quarter := parse(t, "quarter", v1alpha1.ReleaseWindowSpec{Freeze: []v1alpha1.WindowPeriod{
		datesOf("2026-03-30T00:00:00Z", "2026-04-02T00:00:00Z", "end of quarter"),
	}})
	for _, c := range []struct {
		name    string
		windows []Window
		now     string
		want    State
	}{
		{"none", nil, "2026-01-12T10:00:00Z", State{Open: true, Reason: "no release window applies"}},
		{"one, open", []Window{office}, "2026-01-12T10:00:00Z", State{
			Open: true, Reason: `release window "office" is open until Mon 12 Jan 2026 17:00 CET`, Closes: at("2026-01-12T16:00:00Z"),
		}},
		{"one, closed", []Window{office}, "2026-01-12T16:00:00Z", State{
			Reason: `release window "office" is closed; its times are Mon, Tue, Wed, Thu, Fri 09:00 to 17:00 Europe/Berlin; releases may advance again from Tue 13 Jan 2026 09:00 CET`,
			Until:  at("2026-01-13T08:00:00Z"),
		}},
		{"both open, the first to close is named", []Window{office, early}, "2026-01-12T10:00:00Z", State{
			Open: true, Reason: `all 2 release windows are open; "early" closes at Mon 12 Jan 2026 12:00 UTC`, Closes: at("2026-01-12T12:00:00Z"),
		}},
		{"one of two closed", []Window{office, early}, "2026-01-12T13:00:00Z", State{
			Reason: `release window "early" is closed; its times are every day 00:00 to 12:00 UTC; releases may advance again from Tue 13 Jan 2026 08:00 UTC`,
			Until:  at("2026-01-13T08:00:00Z"),
		}},
		{"the one that is closed the longest is named", []Window{early, quarter, office}, "2026-03-30T13:00:00Z", State{
			Reason: `release window "quarter" is frozen (2026-03-30T00:00:00Z to 2026-04-02T00:00:00Z): end of quarter; another window is closed, too; releases may advance again from Thu 2 Apr 2026 07:00 UTC`,
			Until:  at("2026-04-02T07:00:00Z"),
		}},
		{"never both open", []Window{early, parse(t, "late", allow("", weeklyOf("12:00", "24:00")))}, "2026-01-12T10:00:00Z", State{
			Reason: `release window "late" is closed; its times are every day 12:00 to 24:00 UTC; there is no opening before Wed 13 Jan 2027 10:00 UTC`,
		}},
		{"only freezes, open", []Window{quarter}, "2026-04-02T00:00:00Z", State{Open: true, Reason: `release window "quarter" is open`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Look(c.windows, at(c.now))
			if got.Open != c.want.Open || got.Reason != c.want.Reason || !got.Until.Equal(c.want.Until) || !got.Closes.Equal(c.want.Closes) {
				t.Errorf("got\n%+v, want\n%+v", got, c.want)
			}
		})
	}
}

// TestNextIsAfter: the next beginning is never the present one, on whichever date it is.
func TestNextIsAfter(t *testing.T) {
	for _, c := range []struct {
		period           v1alpha1.WindowPeriod
		zone, from, want string
	}{
		{weeklyOf("09:00", "10:00"), "UTC", "2026-01-12T09:00:00Z", "2026-01-13T09:00:00Z"},
		{cronOf("0 9 * * *", time.Hour), "UTC", "2026-01-12T09:00:00Z", "2026-01-13T09:00:00Z"},
		{cronOf("0 * * * *", time.Hour), "UTC", "2026-01-12T09:00:00Z", "2026-01-12T10:00:00Z"},
		{cronOf("0,30 * * * *", time.Hour), "America/St_Johns", "2009-11-01T02:30:30Z", "2009-11-01T03:00:00Z"},
		{datesOf("2026-01-12T09:00:00Z", "2026-01-12T10:00:00Z", ""), "UTC", "2026-01-12T08:59:59Z", "2026-01-12T09:00:00Z"},
		{datesOf("2026-01-12T09:00:00Z", "2026-01-12T10:00:00Z", ""), "UTC", "2026-01-12T09:00:00Z", ""},
	} {
		w := parse(t, "w", allow(c.zone, c.period))
		got := ""
		if start, ok := w.Allow[0].rule.next(w.Location, at(c.from).Unix(), at(c.from).Unix()+horizon); ok {
			got = time.Unix(start, 0).UTC().Format(time.RFC3339)
		}
		if got != c.want {
			t.Errorf("%s after %s: %q, want %q", w.Allow[0], c.from, got, c.want)
		}
	}
}

// TestReasonFitsAStatus: what is told stays within the bounds of a status message, whatever the names.
func TestReasonFitsAStatus(t *testing.T) {
	long := cronOf("0 9 1-7 1,2,3,4,5,6,7,8,9,10,11,12 *", time.Hour)
	s := allow("America/Argentina/ComodRivadavia", long, long, long, long)
	freeze := cronOf("* * * * *", 744*time.Hour)
	freeze.Reason = strings.Repeat("ü", 256)
	frozen := s
	frozen.Freeze = []v1alpha1.WindowPeriod{freeze}
	name := strings.Repeat("n", 253)
	for _, spec := range []v1alpha1.ReleaseWindowSpec{s, frozen} {
		got := Look([]Window{parse(t, name, spec)}, at("2026-01-10T00:00:00Z"))
		if got.Open || len([]rune(got.Reason)) > 1024 {
			t.Errorf("%d characters: %s", len([]rune(got.Reason)), got.Reason)
		}
	}
}

// TestLookIsBounded: windows that never meet are given up, after so many looks.
func TestLookIsBounded(t *testing.T) {
	var even, odd []v1alpha1.WindowPeriod
	for range maxPeriods {
		even, odd = append(even, cronOf("*/2 * * * *", time.Minute)), append(odd, cronOf("1-59/2 * * * *", time.Minute))
	}
	windows := []Window{parse(t, "even", allow(berlin, even...)), parse(t, "odd", allow(newYork, odd...))}
	v := view{windows: windows, now: at("2026-01-10T00:00:00Z").Unix(), left: maxLooks}
	v.limit = v.now + horizon
	worst, shut := v.worst(v.now)
	s := v.closed(worst, shut)
	if s.Open || !s.Until.IsZero() || !strings.Contains(s.Reason, "there is no opening before") {
		t.Errorf("%+v", s)
	}
	if v.left > 0 || v.left < -len(windows) {
		t.Errorf("%d looks are left of %d", v.left, maxLooks)
	}
	// Open for ever, but minute by minute: what cannot be seen to the end is not claimed.
	s = Look([]Window{parse(t, "minutes", allow("", cronOf("* * * * *", time.Minute)))}, at("2026-01-10T00:00:00Z"))
	if !s.Open || !s.Closes.IsZero() || !strings.Contains(s.Reason, "at the least") {
		t.Errorf("%+v", s)
	}
}
