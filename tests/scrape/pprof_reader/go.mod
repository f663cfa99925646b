module leakwatch/tests/scrape/pprof_reader

go 1.19

require github.com/google/pprof v0.0.0-20230228050547-1710fef4ab10
