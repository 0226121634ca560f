"""What a GPU makes of this project, by a script that needs torch, numpy and safetensors alone."""
