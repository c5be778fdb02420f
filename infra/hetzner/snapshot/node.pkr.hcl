# A snapshot that nodes boot from: Docker, the node-runner's image and the runtimes are on it, so that a boot fetches nothing.
# docs/deploy-hetzner.md says how to make one; the id that Packer prints is Terraform's node_image.

variable "installation" {
  type    = string
  default = "rgrid"
}

variable "location" {
  type    = string
  default = "fsn1"
}

# The smallest disk that nodes may have decides: a snapshot does not boot on a smaller one. cax11 makes one for Arm, which needs an image of an Arm control server.
variable "server_type" {
  type    = string
  default = "cx23"
}

# docker save rgrid/node-runner:0.1.0 | gzip > node-runner.tar.gz
variable "node_runner_archive" {
  type    = string
  default = "node-runner.tar.gz"
}

# Pulled into the snapshot, separated by blanks. Each makes it larger, and a large snapshot boots slowly: the popular ones only.
variable "images" {
  type    = string
  default = "python:3.11-slim node:24-slim debian:13-slim"
}

# yes: gVisor's runsc, for RGRID_NODE_GVISOR: without it a node fetches it at boot.
variable "gvisor" {
  type    = string
  default = "no"
}

source "hcloud" "node" {
  image         = "debian-13"
  location      = var.location
  server_type   = var.server_type
  ssh_username  = "root"
  snapshot_name = "${var.installation}-node-${formatdate("YYYYMMDDhhmm", timestamp())}"
  snapshot_labels = {
    rgrid-image = "node"
  }
}

build {
  sources = ["source.hcloud.node"]

  provisioner "file" {
    source      = var.node_runner_archive
    destination = "/root/node-runner.tar.gz"
  }

  provisioner "shell" {
    environment_vars = ["IMAGES=${var.images}", "GVISOR=${var.gvisor}"]
    script           = "prepare-node.sh"
  }
}
