// test-sse-server.js
const express = require('express');
const app = express();

app.get('/api/stream/telemetry', (req, res) => {
  res.setHeader('Content-Type', 'text/event-stream');
  res.setHeader('Cache-Control', 'no-cache');
  res.setHeader('Connection', 'keep-alive');

  const sendUpdate = () => {
    const data = {
      type: 'telemetry',
      timestamp: new Date().toISOString(),
      data: {
        metrics: {
          total_runs_today: Math.floor(Math.random() * 200),
          avg_success_rate: Math.random(),
          active_experts: Math.floor(Math.random() * 20),
          total_projects: 5,
        },
        recentEvents: [
          {
            id: `evt_${Date.now()}`,
            timestamp: new Date().toISOString(),
            project: 'test-project',
            event_type: 'evaluation',
            severity: 'info',
            message: 'Test event',
          },
        ],
      },
    };

    res.write(`event: telemetry\n`);
    res.write(`data: ${JSON.stringify(data)}\n\n`);
  };

  const interval = setInterval(sendUpdate, 5000);

  req.on('close', () => {
    clearInterval(interval);
    res.end();
  });
});

app.listen(3001, () => {
  console.log('Test SSE server running on http://localhost:3001');
});
