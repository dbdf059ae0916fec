"""What is written, so that it is whole: run directories, manifests, snapshots, locks; and who works."""
