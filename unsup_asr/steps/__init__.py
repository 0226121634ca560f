"""What each stage of the pipeline does: one function a stage, a file for each part of the way."""
