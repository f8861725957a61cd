package window

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestParseNamesTheField: an error says which field is wrong, and what to do.
func TestParseNamesTheField(t *testing.T) {
	good := weeklyOf("09:00", "17:00")
	second := func(p v1alpha1.WindowPeriod) v1alpha1.ReleaseWindowSpec { return allow("", good, p) }
	frozen := func(p v1alpha1.WindowPeriod) v1alpha1.ReleaseWindowSpec {
		return v1alpha1.ReleaseWindowSpec{Freeze: []v1alpha1.WindowPeriod{p}}
	}
	cron := func(schedule string) v1alpha1.ReleaseWindowSpec { return second(cronOf(schedule, time.Hour)) }
	two := cronOf("* * * * *", time.Hour)
	two.Weekly = good.Weekly
	many := make([]v1alpha1.WindowPeriod, maxPeriods+1)
	for _, c := range []struct {
		spec        v1alpha1.ReleaseWindowSpec
		field, want string
	}{
		{v1alpha1.ReleaseWindowSpec{}, "spec.allow", "or in spec.freeze"},
		{allow("Mars/Olympus", good), "spec.timeZone", "as Europe/Berlin"},
		{allow("Local", good), "spec.timeZone", "IANA"},
		{allow("../../etc/passwd", good), "spec.timeZone", "IANA"},
		{second(v1alpha1.WindowPeriod{}), "spec.allow[1]", "set one of cron, weekly and dates"},
		{second(two), "spec.allow[1]", "set one of cron, weekly and dates"},
		{allow("", many...), "spec.allow", "at most 32"},
		{second(weeklyOf("9:00", "17:00")), "spec.allow[1].weekly.from", "write it as 09:00"},
		{second(weeklyOf("24:00", "17:00")), "spec.allow[1].weekly.from", "write it as 09:00"},
		{second(weeklyOf("09:00", "24:01")), "spec.allow[1].weekly.to", "24:00 for the end"},
		{second(weeklyOf("09:00", "09:00")), "spec.allow[1].weekly.to", "00:00 to 24:00"},
		{second(weeklyOf("09:00", "17:00", "Mon", "monday")), "spec.allow[1].weekly.days[1]", "use Mon, Tue"},
		{second(cronOf("* * * * *", time.Second)), "spec.allow[1].cron.duration", "between 1m and 744h"},
		{second(cronOf("* * * * *", 745*time.Hour)), "spec.allow[1].cron.duration", "between 1m and 744h"},
		{frozen(datesOf("2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z", "")), "spec.freeze[0].dates.until", "after from"},
		{frozen(v1alpha1.WindowPeriod{Dates: &v1alpha1.DatesPeriod{Until: metav1.Now()}}), "spec.freeze[0].dates.until", "after from"},
		{cron(""), "spec.allow[1].cron.schedule", "has 0 fields"},
		{cron("* * * *"), "spec.allow[1].cron.schedule", "has 4 fields"},
		{cron("0 * * * * *"), "spec.allow[1].cron.schedule", "has 6 fields"},
		{cron("60 * * * *"), "spec.allow[1].cron.schedule", `minute: "60" must be between 0 and 59`},
		{cron("* 24 * * *"), "spec.allow[1].cron.schedule", `hour: "24"`},
		{cron("* * 0 * *"), "spec.allow[1].cron.schedule", `day of the month: "0" must be between 1 and 31`},
		{cron("* * * JANUARY *"), "spec.allow[1].cron.schedule", `month: "JANUARY"`},
		{cron("* * * * 8"), "spec.allow[1].cron.schedule", `day of the week: "8"`},
		{cron("* * * * FRI-MON"), "spec.allow[1].cron.schedule", "write two ranges with a comma"},
		{cron("*/0 * * * *"), "spec.allow[1].cron.schedule", "the step of"},
		{cron("*/ * * * *"), "spec.allow[1].cron.schedule", "the step of"},
		{cron("1,,2 * * * *"), "spec.allow[1].cron.schedule", `""`},
		{cron("-1 * * * *"), "spec.allow[1].cron.schedule", `""`},
		{cron("+1 * * * *"), "spec.allow[1].cron.schedule", `"+1"`},
		{cron("0 0 31 2,4,6,9,11 *"), "spec.allow[1].cron.schedule", "never comes"},
		{cron("0 0 30 2 *"), "spec.allow[1].cron.schedule", "never comes"},
		{cron("TZ=UTC 0 0 * * *"), "spec.allow[1].cron.schedule", "set spec.timeZone"},
		{cron("@fortnightly"), "spec.allow[1].cron.schedule", "use five fields"},
		{cron(strings.Repeat("1,", 200) + "1 * * * *"), "spec.allow[1].cron.schedule", "longer than 256"},
	} {
		_, err := Parse(c.spec)
		if err == nil || !strings.HasPrefix(err.Error(), c.field+": ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %s: ... %s; got %v", c.field, c.want, err)
		}
	}
}

// TestSchedules: names, ranges, steps and macros mean what they mean elsewhere.
func TestSchedules(t *testing.T) {
	for text, same := range map[string]string{
		"0 9 * * MON-FRI":    "0 9 * * 1,2,3,4,5",
		"0 9 * jan,DEC sun":  "0 9 * 1,12 0",
		"0 9 * * 7":          "0 9 * * 0",
		"0 9 * * 5-7":        "0 9 * * 0,5,6",
		"*/20 0-23/8 ? * ?":  "0,20,40 0,8,16 * * *",
		"5/20 9 1-10/3 * *":  "5,25,45 9 1,4,7,10 * *",
		"@daily":             "0 0 * * *",
		"@Weekly":            "0 0 * * 0",
		"  0\t9  *  * *  ":   "0 9 * * *",
		"0 0 31 1-3 *":       "0 0 31 1,2,3 *",
		"0 0 31 2 MON":       "0 0 31 2 1",
		"0,0,0 00 01 01 00":  "0 0 1 1 0",
		"59 23 31 12 SAT":    "59 23 31 12 6",
		"0 9 * * SUN,MON-WE": "",
	} {
		got, err := parseCron(text)
		if same == "" {
			if err == nil {
				t.Errorf("%q was read as %+v", text, got)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		want, err := parseCron(same)
		if err != nil {
			t.Fatal(err)
		}
		// 7 is kept beside 0 as another name of Sunday.
		if got.minutes != want.minutes || got.hours != want.hours || got.days != want.days || got.months != want.months || got.week&0x7f != want.week&0x7f {
			t.Errorf("%q is %+v, want %+v", text, got, want)
		}
	}
}

// FuzzParse: no spec makes Parse panic; what it accepts, Look answers in bounded time, and consistently.
func FuzzParse(f *testing.F) {
	f.Add("Europe/Berlin", "*/5 9-17 * * MON-FRI", int64(3600), "Mon", "22:00", "06:00", int64(1790000000), int64(86400), int64(1780000000))
	f.Add("America/New_York", "0 0 29 2 *", int64(60), "Sun", "00:00", "24:00", int64(0), int64(1), int64(-1))
	f.Add("", "@hourly", int64(2678400), "", "23:59", "00:00", int64(1<<40), int64(1), int64(1<<35))
	f.Add("Pacific/Apia", "59 23 30 12 ?", int64(7200), "Fri", "00:00", "00:01", int64(1325239200), int64(86400), int64(1325200000))
	f.Fuzz(func(t *testing.T, zone, schedule string, lasts int64, weekday, from, to string, start, length, now int64) {
		const far = 1 << 36 // Beyond the year 4000, where nobody looks.
		if start > far || start < -far || length > far || length < -far || now > far || now < -far {
			return
		}
		week := weeklyOf(from, to, v1alpha1.Weekday(weekday))
		if weekday == "" {
			week.Weekly.Days = nil
		}
		once := v1alpha1.WindowPeriod{Dates: &v1alpha1.DatesPeriod{From: metav1.Unix(start, 0), Until: metav1.Unix(start+length, 0)}}
		w, err := Parse(v1alpha1.ReleaseWindowSpec{
			TimeZone: zone,
			Allow:    []v1alpha1.WindowPeriod{cronOf(schedule, time.Duration(lasts%(1<<31))*time.Second), week},
			Freeze:   []v1alpha1.WindowPeriod{once},
		})
		if err != nil {
			if !strings.HasPrefix(err.Error(), "spec.") {
				t.Errorf("names no field: %v", err)
			}
			return
		}
		moment := time.Unix(now, 0)
		s := Look([]Window{w}, moment)
		change := s.Until
		if s.Open {
			change = s.Closes
		}
		if s.Reason == "" || !change.IsZero() && (!change.After(moment) || change.After(moment.Add(horizon*time.Second))) {
			t.Fatalf("%+v", s)
		}
		if !change.IsZero() && (Look([]Window{w}, change).Open == s.Open || Look([]Window{w}, change.Add(-time.Second)).Open != s.Open) {
			t.Errorf("nothing changes at %s: %+v", change, s)
		}
	})
}
