// A simple consumer in Go: `consumer URL PORT`. Events of a WebSocket or an event stream are counted at
// http://127.0.0.1:PORT/metrics.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

type envelope struct {
	Data struct {
		Project   string `json:"project"`
		EventType string `json:"event_type"`
		Severity  string `json:"severity"`
	} `json:"data"`
}

var events = prometheus.NewCounterVec(
	prometheus.CounterOpts{Name: "events_total", Help: "Events received."},
	[]string{"project", "event_type", "severity"},
)

func count(text []byte) {
	var found envelope
	if err := json.Unmarshal(text, &found); err != nil {
		log.Fatal(err)
	}
	events.WithLabelValues(found.Data.Project, found.Data.EventType, found.Data.Severity).Inc()
}

func receive(url string) error {
	if strings.HasPrefix(url, "ws") {
		connection, response, err := websocket.DefaultDialer.Dial(url, nil)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		for {
			_, text, err := connection.ReadMessage()
			if err != nil {
				return err
			}
			count(text)
		}
	}
	response, err := http.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(make([]byte, 0, 64*1024), 1024*1024)
	for lines.Scan() {
		if text, found := bytes.CutPrefix(lines.Bytes(), []byte("data: ")); found {
			count(text)
		}
	}
	return lines.Err()
}

func main() {
	registry := prometheus.NewRegistry()
	registry.MustRegister(events)
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	go func() { log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[2], nil)) }()
	log.Fatal(receive(os.Args[1]))
}
