package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// usage is CPU time in seconds: of this process (writers, informers, relay), and of the servers. Unlike rates it hardly depends on what else the machine does.
type usage struct {
	self, apiServer, etcd, postgres float64
}

func (u usage) minus(v usage) usage {
	return usage{self: u.self - v.self, apiServer: u.apiServer - v.apiServer, etcd: u.etcd - v.etcd, postgres: u.postgres - v.postgres}
}

func (u usage) times(f float64) usage {
	return usage{self: u.self * f, apiServer: u.apiServer * f, etcd: u.etcd * f, postgres: u.postgres * f}
}

func (u usage) total() float64 { return u.self + u.apiServer + u.etcd + u.postgres }

// stat is a line of /proc/PID/stat. waited is the CPU time of children that have ended.
type stat struct {
	pid, parent         int
	name                string
	processor, waitedOn float64
}

func readStat(path string) (s stat, ok bool) {
	text := line(path)
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')') // the name may hold anything
	if open < 0 || end < open {
		return s, false
	}
	fields := strings.Fields(text[end+1:])
	if len(fields) < 15 {
		return s, false
	}
	ticks := func(i int) float64 {
		n, _ := strconv.ParseFloat(fields[i], 64)
		return n / 100 // towards programs, Linux's ticks are 10 ms
	}
	s.pid, _ = strconv.Atoi(strings.TrimSpace(text[:open]))
	s.parent, _ = strconv.Atoi(fields[1])
	s.name, s.processor, s.waitedOn = text[open+1:end], ticks(11)+ticks(12), ticks(13)+ticks(14)
	return s, true
}

// used reads what this process and its servers have used so far.
func used() (u usage) {
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	children := map[int][]stat{}
	for _, p := range paths {
		s, ok := readStat(p)
		if !ok {
			continue // ended meanwhile
		}
		if s.pid == os.Getpid() {
			u.self = s.processor
		}
		children[s.parent] = append(children[s.parent], s)
	}
	for _, s := range children[os.Getpid()] {
		switch s.name {
		case "kube-apiserver":
			u.apiServer += s.processor
		case "etcd":
			u.etcd += s.processor
		case "postgres":
			u.postgres += s.processor + s.waitedOn
			for _, backend := range children[s.pid] {
				u.postgres += backend.processor
			}
		}
	}
	return u
}
