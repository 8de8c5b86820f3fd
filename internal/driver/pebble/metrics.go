package pebble

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the few numbers that an operator needs of the storage.
type metrics struct {
	appended, appendedBytes, duplicates prometheus.Counter
	commits                             prometheus.Histogram

	gauges []gauge
	db     *DB
}

// gauge is read when it is asked for.
type gauge struct {
	desc  *prometheus.Desc
	value func(*DB, *snapshot) float64
}

// snapshot is what the engine says, taken once per scrape.
type snapshot struct {
	disk, wal, debt, files, readAmp float64
	dedupIDs, dedupBytes            int
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		appended:      counter("heed_log_appended_events_total", "Events appended to the log."),
		appendedBytes: counter("heed_log_appended_bytes_total", "Bytes committed by the sequencer, dedup keys included."),
		duplicates:    counter("heed_log_duplicate_events_total", "Events dropped because they had been appended before."),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "heed_log_commit_seconds", Help: "Time of one group commit with its sync.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
	}
	add := func(name, help string, value func(*DB, *snapshot) float64) {
		m.gauges = append(m.gauges, gauge{prometheus.NewDesc(name, help, nil, nil), value})
	}
	add("heed_store_disk_bytes", "What the database takes on disk.", func(_ *DB, s *snapshot) float64 { return s.disk })
	add("heed_store_wal_bytes", "Size of the live write-ahead log.", func(_ *DB, s *snapshot) float64 { return s.wal })
	add("heed_store_compaction_debt_bytes", "What is left to compact.", func(_ *DB, s *snapshot) float64 { return s.debt })
	add("heed_store_l0_files", "Files in level 0.", func(_ *DB, s *snapshot) float64 { return s.files })
	add("heed_store_read_amplification", "Places that a read may have to look at.", func(_ *DB, s *snapshot) float64 { return s.readAmp })
	add("heed_store_free_bytes", "Free disk space when last looked at.", func(db *DB, _ *snapshot) float64 { return float64(db.disk.free.Load()) })
	add("heed_store_disk_full", "1 while new events are refused to keep the disk reserve.", func(db *DB, _ *snapshot) float64 {
		if db.disk.full.Load() {
			return 1
		}
		return 0
	})
	add("heed_dedup_horizon_seconds", "How far back every event id is known.", func(db *DB, _ *snapshot) float64 {
		return db.log.dedup.horizon(db.deps.Clock()).Seconds()
	})
	add("heed_dedup_sealed_ids", "Event ids in sealed buckets.", func(_ *DB, s *snapshot) float64 { return float64(s.dedupIDs) })
	add("heed_dedup_filter_bytes", "Memory of the filters of sealed buckets.", func(_ *DB, s *snapshot) float64 { return float64(s.dedupBytes) })
	return m
}

func (m *metrics) register(db *DB) error {
	m.db = db
	if db.deps.Registerer == nil {
		return nil
	}
	if err := db.deps.Registerer.Register(m); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return nil
}

func (m *metrics) unregister(db *DB) {
	if db.deps.Registerer != nil {
		db.deps.Registerer.Unregister(m)
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	m.appended.Describe(out)
	m.appendedBytes.Describe(out)
	m.duplicates.Describe(out)
	m.commits.Describe(out)
	for _, g := range m.gauges {
		out <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	m.appended.Collect(out)
	m.appendedBytes.Collect(out)
	m.duplicates.Collect(out)
	m.commits.Collect(out)
	if m.db.enter() != nil {
		return
	}
	defer m.db.leave()
	e := m.db.engine.Metrics()
	s := &snapshot{
		disk: float64(e.DiskSpaceUsage()), wal: float64(e.WAL.Size), debt: float64(e.Compact.EstimatedDebt),
		files: float64(e.Levels[0].TablesCount), readAmp: float64(e.ReadAmp()),
	}
	s.dedupIDs, s.dedupBytes = m.db.log.dedup.stats()
	for _, g := range m.gauges {
		out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.value(m.db, s))
	}
}
