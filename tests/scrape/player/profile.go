// SPDX-License-Identifier: Apache-2.0

// A profile as it is on the wire, without the repairs that readers make: ids, table indexes and missing values stay as
// they were sent. The fields are those of proto/profile.proto.

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

type valueType struct{ name, unit int64 }

type label struct{ key, text, number, unit int64 }

type sample struct {
	locations []uint64 // leaf first
	values    []int64
	labels    []label
}

type mapping struct {
	id                uint64
	filename, buildID int64
	hasFunctions      bool
}

type line struct{ function uint64 }

type location struct {
	id, mapping, address uint64
	lines                []line
}

type function struct {
	id                         uint64
	name, systemName, filename int64
}

type profile struct {
	types      []valueType
	samples    []sample
	mappings   []mapping
	locations  []location
	functions  []function
	strings    []string
	timeNanos  int64
	duration   int64
	periodType valueType
	period     int64

	size int // bytes before compression
}

// text is the string at an index; ok is false outside the table.
func (p *profile) text(index int64) (string, bool) {
	if index < 0 || index >= int64(len(p.strings)) {
		return "", false
	}
	return p.strings[index], true
}

// parse takes a body as it came, compressed or not.
func parse(body []byte) (*profile, error) {
	if bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
		reader, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		if body, err = io.ReadAll(reader); err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
	}
	p := &profile{size: len(body)}
	return p, eachField(body, p.setField)
}

// field is one field of a message: a number, or the bytes of a string, a message or packed numbers.
type field struct {
	id     uint64
	number uint64
	data   []byte // nil: it is a number
}

var errTruncated = errors.New("a message ends in the middle of a field")

func eachField(message []byte, take func(field) error) error {
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 {
			return errTruncated
		}
		message = message[n:]
		number, n := binary.Uvarint(message)
		if n <= 0 {
			return errTruncated
		}
		message = message[n:]
		f := field{id: tag >> 3, number: number}
		switch tag & 7 {
		case 0:
		case 2:
			if number > uint64(len(message)) {
				return errTruncated
			}
			f.data = message[:number:number]
			message = message[number:]
		default:
			return fmt.Errorf("field %d has wire type %d, which no field of a profile has", tag>>3, tag&7)
		}
		if err := take(f); err != nil {
			return err
		}
	}
	return nil
}

func (p *profile) setField(f field) error {
	switch f.id {
	case 1:
		p.types = append(p.types, valueType{})
		return eachField(f.data, p.types[len(p.types)-1].setField)
	case 2:
		p.samples = append(p.samples, sample{})
		return eachField(f.data, p.samples[len(p.samples)-1].setField)
	case 3:
		p.mappings = append(p.mappings, mapping{})
		return eachField(f.data, p.mappings[len(p.mappings)-1].setField)
	case 4:
		p.locations = append(p.locations, location{})
		return eachField(f.data, p.locations[len(p.locations)-1].setField)
	case 5:
		p.functions = append(p.functions, function{})
		return eachField(f.data, p.functions[len(p.functions)-1].setField)
	case 6:
		p.strings = append(p.strings, string(f.data))
	case 9:
		p.timeNanos = int64(f.number)
	case 10:
		p.duration = int64(f.number)
	case 11:
		return eachField(f.data, p.periodType.setField)
	case 12:
		p.period = int64(f.number)
	}
	return nil
}

func (t *valueType) setField(f field) error {
	switch f.id {
	case 1:
		t.name = int64(f.number)
	case 2:
		t.unit = int64(f.number)
	}
	return nil
}

func (s *sample) setField(f field) error {
	switch f.id {
	case 1:
		return eachNumber(f, func(n uint64) { s.locations = append(s.locations, n) })
	case 2:
		return eachNumber(f, func(n uint64) { s.values = append(s.values, int64(n)) })
	case 3:
		s.labels = append(s.labels, label{})
		return eachField(f.data, s.labels[len(s.labels)-1].setField)
	}
	return nil
}

func (l *label) setField(f field) error {
	switch f.id {
	case 1:
		l.key = int64(f.number)
	case 2:
		l.text = int64(f.number)
	case 3:
		l.number = int64(f.number)
	case 4:
		l.unit = int64(f.number)
	}
	return nil
}

func (m *mapping) setField(f field) error {
	switch f.id {
	case 1:
		m.id = f.number
	case 5:
		m.filename = int64(f.number)
	case 6:
		m.buildID = int64(f.number)
	case 7:
		m.hasFunctions = f.number != 0
	}
	return nil
}

func (l *location) setField(f field) error {
	switch f.id {
	case 1:
		l.id = f.number
	case 2:
		l.mapping = f.number
	case 3:
		l.address = f.number
	case 4:
		l.lines = append(l.lines, line{})
		return eachField(f.data, func(f field) error {
			if f.id == 1 {
				l.lines[len(l.lines)-1].function = f.number
			}
			return nil
		})
	}
	return nil
}

func (fn *function) setField(f field) error {
	switch f.id {
	case 1:
		fn.id = f.number
	case 2:
		fn.name = int64(f.number)
	case 3:
		fn.systemName = int64(f.number)
	case 4:
		fn.filename = int64(f.number)
	}
	return nil
}

// eachNumber reads a repeated number, packed or not.
func eachNumber(f field, take func(uint64)) error {
	if f.data == nil {
		take(f.number)
		return nil
	}
	for data := f.data; len(data) > 0; {
		number, n := binary.Uvarint(data)
		if n <= 0 {
			return errTruncated
		}
		take(number)
		data = data[n:]
	}
	return nil
}
