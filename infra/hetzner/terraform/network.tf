locals {
  # Zones are how far a private network reaches.
  network_zones = { fsn1 = "eu-central", nbg1 = "eu-central", hel1 = "eu-central", ash = "us-east", hil = "us-west", sin = "ap-southeast" }
  network_zone  = local.network_zones[var.location]
  control_ip    = "10.80.0.2"
  labels        = { "rgrid-part" = "control", "rgrid-control" = var.installation }
}

# NATS is spoken only here, and with TLS. Jobs cannot reach it: private ranges are closed to them on every node.
resource "hcloud_network" "main" {
  name     = var.installation
  ip_range = "10.80.0.0/16"
  labels   = local.labels
}

resource "hcloud_network_subnet" "main" {
  network_id   = hcloud_network.main.id
  type         = "cloud"
  network_zone = local.network_zone
  ip_range     = "10.80.0.0/20"
}
