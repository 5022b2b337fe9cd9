// Package usage makes errors of a command line: what was wrong, at which option,
// and what would be right, in one line.
package usage

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"time"

	"github.com/spf13/pflag"
)

// An Error is a mistake in the command line, as opposed to one of the system.
type Error struct{ err error }

// Error gives the text, as it was made.
func (e *Error) Error() string { return e.err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.err }

// Errorf makes an Error as fmt.Errorf does.
func Errorf(format string, args ...any) error { return &Error{fmt.Errorf(format, args...)} }

// Shown is a value as a message has it: as it was given, but "" where it is empty, which
// nobody would see.
func Shown(value string) string {
	if value == "" {
		return `""`
	}
	return value
}

// Is reports whether err is, or wraps, an Error.
func Is(err error) bool {
	var e *Error
	return errors.As(err, &e)
}

// Flag makes an Error of what pflag says of an option. Its own words name
// functions of Go.
func Flag(err error) error {
	var (
		value   *pflag.InvalidValueError
		missing *pflag.ValueRequiredError
		unknown *pflag.NotExistError
		syntax  *pflag.InvalidSyntaxError
	)
	switch {
	case errors.As(err, &value):
		return Errorf("%s: %w", name(value.GetFlag()), Value(err))
	case errors.As(err, &missing):
		return Errorf("%s: a value must follow", name(missing.GetFlag()))
	case errors.As(err, &unknown):
		if s := unknown.GetSpecifiedShortnames(); s != "" {
			return Errorf("there is no option -%s", unknown.GetSpecifiedName())
		}
		return Errorf("there is no option --%s", unknown.GetSpecifiedName())
	case errors.As(err, &syntax):
		return Errorf("%s is no option", syntax.GetSpecifiedFlag())
	}
	return Errorf("%w", err)
}

// Value says what an option's value should have been, without the option's name. An
// err that is not of a value stays as it is.
func Value(err error) error {
	var e *pflag.InvalidValueError
	if !errors.As(err, &e) {
		return err
	}
	switch e.GetFlag().Value.Type() {
	case "uint16":
		return fmt.Errorf("%q is no port: it is 1 to 65535", e.GetValue())
	case "int", "int64", "count":
		return fmt.Errorf("%q is no whole number, or too large", e.GetValue())
	case "uint64":
		return fmt.Errorf("%q is no whole number from 0 on, or too large", e.GetValue())
	case "float64":
		return fmt.Errorf("%q is no number", e.GetValue())
	case "bool":
		return fmt.Errorf("%q is neither true nor false", e.GetValue())
	case "size":
		return fmt.Errorf("%q is no size: it is bytes, or a number and K, M, G or T, of 1,024 each",
			e.GetValue())
	case "duration":
		return fmt.Errorf("%q is no time: it is seconds, or a number and a unit such as 500ms or 2m",
			e.GetValue())
	}
	return fmt.Errorf("%q: %w", e.GetValue(), e.Unwrap())
}

// Duration adds an option for a time to f, as pflag does, but that a number without
// a unit is in seconds.
func Duration(f *pflag.FlagSet, p *time.Duration, name string, value time.Duration, text string) {
	DurationP(f, p, name, "", value, text)
}

// DurationP is Duration with a letter that stands for the option.
func DurationP(f *pflag.FlagSet, p *time.Duration, name, letter string, value time.Duration, text string) {
	*p = value
	f.VarP((*duration)(p), name, letter, text)
	if value == 0 {
		f.Lookup(name).DefValue = "0" // which the help leaves out, as it does for numbers
	}
}

type duration time.Duration

// Set implements pflag.Value.
func (d *duration) Set(s string) error {
	v, err := time.ParseDuration(s)
	if n, e := strconv.ParseFloat(s, 64); err != nil && e == nil && math.Abs(n) < 1e9 {
		v, err = time.Duration(n*1e9), nil
	}
	*d = duration(v)
	return err
}

// String implements pflag.Value.
func (d *duration) String() string { return time.Duration(*d).String() }

// Type implements pflag.Value.
func (d *duration) Type() string { return "duration" }

// name gives all names of an option.
func name(f *pflag.Flag) string {
	if f.Shorthand != "" {
		return "-" + f.Shorthand + ", --" + f.Name
	}
	return "--" + f.Name
}

// File leaves out of an error of a file what the option beside it says already: the
// path, and the operation. An error that only wraps one stays as it is.
func File(err error) error {
	if e, ok := err.(*fs.PathError); ok {
		return e.Err
	}
	return err
}
