module leakwatch/tests/conformance

go 1.19
