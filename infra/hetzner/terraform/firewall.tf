resource "hcloud_firewall" "control" {
  name   = "${var.installation}-control"
  labels = local.labels

  rule {
    description = "SSH, for whoever operates it"
    direction   = "in"
    protocol    = "tcp"
    port        = "22"
    source_ips  = var.ssh_from
  }
  dynamic "rule" {
    for_each = ["80", "443"]
    content {
      description = "API and object store; 80 for certificates and redirects"
      direction   = "in"
      protocol    = "tcp"
      port        = rule.value
      source_ips  = ["0.0.0.0/0", "::/0"]
    }
  }
  rule {
    description = "ping"
    direction   = "in"
    protocol    = "icmp"
    source_ips  = ["0.0.0.0/0", "::/0"]
  }
}

# Nobody calls nodes: they call. The selector is the label that the scheduler gives them, so that a node is closed from its first second.
resource "hcloud_firewall" "nodes" {
  name   = "${var.installation}-nodes"
  labels = local.labels

  rule {
    description = "ping"
    direction   = "in"
    protocol    = "icmp"
    source_ips  = ["0.0.0.0/0", "::/0"]
  }
  apply_to {
    label_selector = "rgrid-installation=${var.installation}"
  }
}
