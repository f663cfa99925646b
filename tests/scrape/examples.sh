#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The manual page's configurations, in the hands of Prometheus' own checker: they are valid, the alert knows a leak from
# a heap that breathes, and every series that the page names is one that leakwatch has. Parca reads the part of its
# configuration that is shown there with Prometheus' code.
. "$(dirname "$0")/scrape.sh" || exit 1
need promtool prometheus

checked() { promtool "$@" >promtool.log 2>&1 || fail "promtool $*: $(cat promtool.log)"; }

for name in prometheus.yml parca.yml; do
  example "$name"
  checked check config "$name"
done
example rules.yml
checked check rules rules.yml

# 100 MiB and ten more each minute; and a wave between 100 and 190 MiB, of ten minutes.
cat >rules_test.yml <<'END'
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: leakwatch_heap_live_bytes{job="leak"}
        values: 100000000+10000000x300
      - series: leakwatch_heap_live_bytes{job="wave"}
        values: WAVE
    alert_rule_test:
      - eval_time: 4h
        alertname: LiveHeapGrows
        exp_alerts:
          - exp_labels: {job: leak}
END
wave=$(for ((i = 0; i < 300; i++)); do printf '%d ' $((100000000 + i % 10 * 10000000)); done)
sed -i "s/WAVE/$wave/" rules_test.yml
checked test rules rules_test.yml

series() { grep -oP '(?<![.\w])(leakwatch|process)_[a-z_]+' | sort -u; }
sed -n '/^\.SH SCRAPING/,/^\.SH LIMITS/p' "$SOURCE_ROOT/man/leakwatch.1" | series >in_page
grep -o '"[a-z_]*"' "$SOURCE_ROOT/cli/serve/metrics.cc" | series >in_source
expect "series in the manual page (<) and in the source (>)" "$(diff in_page in_source)" ""
