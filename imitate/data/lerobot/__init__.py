"""LeRobotDatasets of version 3.0, the format of the field: read, whoever made them, and written."""
