// SPDX-License-Identifier: Apache-2.0

// The head of a binary profile, out of its bytes: what scrapers merge by, and what readers show first.

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

type valueType struct{ name, unit uint64 }

type profile struct {
	types       []valueType
	periodType  valueType
	period      uint64
	defaultType uint64
	time        uint64
	duration    uint64
	samples     int
	strings     []string
}

var errTruncated = errors.New("a message ends in the middle of a field")

// eachField calls take for each field of a message, with a number or with bytes.
func eachField(message []byte, take func(id, number uint64, data []byte) error) error {
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
		var data []byte
		switch tag & 7 {
		case 0:
		case 2:
			if number > uint64(len(message)) {
				return errTruncated
			}
			data, message = message[:number], message[number:]
		default:
			return fmt.Errorf("wire type %d, which no field of a profile has", tag&7)
		}
		if err := take(tag>>3, number, data); err != nil {
			return err
		}
	}
	return nil
}

func parseType(message []byte) (t valueType, err error) {
	err = eachField(message, func(id, number uint64, _ []byte) error {
		switch id {
		case 1:
			t.name = number
		case 2:
			t.unit = number
		}
		return nil
	})
	return t, err
}

func parseProfile(body []byte) (*profile, error) {
	reader, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	message, err := io.ReadAll(reader)
	if err != nil {
		return nil, err
	}
	p := &profile{}
	return p, eachField(message, p.set)
}

func (p *profile) set(id, number uint64, data []byte) (err error) {
	switch id {
	case 1:
		var t valueType
		t, err = parseType(data)
		p.types = append(p.types, t)
	case 2:
		p.samples++
	case 6:
		p.strings = append(p.strings, string(data))
	case 9:
		p.time = number
	case 10:
		p.duration = number
	case 11:
		p.periodType, err = parseType(data)
	case 12:
		p.period = number
	case 14:
		p.defaultType = number
	}
	return err
}

func (p *profile) text(index uint64) string {
	if index >= uint64(len(p.strings)) {
		return "?"
	}
	return p.strings[index]
}

func (p *profile) typeText(t valueType) string { return p.text(t.name) + "/" + p.text(t.unit) }

// head is one line that is the same for two profiles of one kind.
func (p *profile) head() string {
	var types []string
	for _, t := range p.types {
		types = append(types, p.typeText(t))
	}
	head := fmt.Sprintf("%s; %d %s", strings.Join(types, " "), p.period, p.typeText(p.periodType))
	if p.defaultType != 0 {
		head += "; first " + p.text(p.defaultType)
	}
	if p.time != 0 {
		head += "; timed"
	}
	if p.duration != 0 {
		head += "; lasting"
	}
	return head
}
