module leakwatch/tests/scrape/player

go 1.19
