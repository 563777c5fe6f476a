"""What plug-ins declare, and the settings, profiles and protocols they are read with."""
