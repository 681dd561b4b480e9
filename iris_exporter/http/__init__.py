"""What every HTTP request of the exporter uses: session, credentials, TLS, proxies, redirects, classified errors."""
