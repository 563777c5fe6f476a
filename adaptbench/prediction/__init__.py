"""What a trained network says about pictures without labels: anybody's, or those of a test server."""
