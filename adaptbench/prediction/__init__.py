"""What a trained network says about images without labels: anybody's, or those of a test server.

What writes files raises `RunStateError` where it cannot.
"""
