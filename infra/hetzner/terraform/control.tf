locals {
  # As Docker has it: what is before the first / is a host when only a host can be called so.
  runner_in_registry = can(regex("^([^/]*[.:A-Z][^/]*|localhost)/", var.node_runner_image))
  arch_of_types      = { for type in toset(concat(var.node_types, [var.control_type])) : type => startswith(type, "cax") ? "arm64" : "amd64" }

  s3_domain   = "s3.${var.domain}"
  s3_external = var.object_storage == "external"
  # Read by compose (infra/hetzner/compose.hetzner.yaml). Nothing here is secret: user data can be read on the machine itself.
  settings = {
    API_DOMAIN           = var.domain
    S3_DOMAIN            = local.s3_domain
    BIND_ADDRESS         = local.control_ip
    PUBLIC_HOST          = local.control_ip
    NODE_API_URL         = "https://${var.domain}"
    INSTALLATION         = var.installation
    HCLOUD_TYPES         = join(",", var.node_types)
    HCLOUD_LOCATIONS     = join(",", var.node_locations)
    HCLOUD_IMAGE         = var.node_image
    IMAGE_ARCH           = var.node_arch
    HCLOUD_NETWORK       = hcloud_network.main.name
    HCLOUD_IPV4          = tostring(var.ipv4_nodes)
    NODE_RUNNER_IMAGE    = var.node_runner_image
    MAX_NODES            = tostring(var.max_nodes)
    MAX_HOUR_MICRONS     = tostring(ceil(var.max_euros_per_hour * 1000000))
    S3_URL               = local.s3_external ? var.external_s3.url : "http://s3:9000"
    S3_PRESIGN_URL       = local.s3_external ? var.external_s3.url : "https://${local.s3_domain}"
    S3_REGION            = local.s3_external ? var.external_s3.region : "us-east-1"
    S3_BUCKET            = local.s3_external ? var.external_s3.bucket : "rgrid"
    COMPOSE_PROJECT_NAME = "rgrid"
    COMPOSE_FILE         = local.s3_external ? "compose.yaml:infra/hetzner/compose.hetzner.yaml:infra/hetzner/compose.external-s3.yaml" : "compose.yaml:infra/hetzner/compose.hetzner.yaml"
  }
}

resource "hcloud_ssh_key" "operator" {
  name       = "${var.installation}-operator"
  public_key = var.ssh_public_key
  labels     = local.labels
}

# Apart from the server, so that the server can be replaced.
resource "hcloud_volume" "data" {
  name              = "${var.installation}-data"
  size              = var.data_gigabytes
  location          = var.location
  format            = "ext4"
  delete_protection = true
  labels            = local.labels
}

resource "hcloud_server" "control" {
  name               = "${var.installation}-control"
  server_type        = var.control_type
  location           = var.location
  image              = "debian-13"
  ssh_keys           = [hcloud_ssh_key.operator.id]
  firewall_ids       = [hcloud_firewall.control.id]
  backups            = var.backups
  delete_protection  = true
  rebuild_protection = true
  # Not the label of nodes: the scheduler must never take its own machine for one of them.
  labels = local.labels

  public_net {
    ipv4_enabled = true
    ipv6_enabled = true
  }
  network {
    subnet_id = hcloud_network_subnet.main.id
    ip        = local.control_ip
    alias_ips = []
  }
  user_data = templatefile("${path.module}/control.yaml.tftpl", {
    settings      = merge(var.settings, local.settings)
    volume_device = hcloud_volume.data.linux_device
  })

  lifecycle {
    # A change of these would replace the machine; settings are changed in /etc/rgrid/rgrid.env.
    ignore_changes = [user_data, ssh_keys, image]
    precondition {
      condition     = alltrue([for place in var.node_locations : lookup(local.network_zones, place, "") == local.network_zone])
      error_message = "node_locations must be in the network zone of location (${local.network_zone}): nodes reach NATS over the private network."
    }
    precondition {
      condition     = anytrue([for type in var.node_types : local.arch_of_types[type] == var.node_arch])
      error_message = "node_types must name a type of node_arch (${var.node_arch}): cax… are arm64, all others amd64."
    }
    precondition {
      condition     = local.runner_in_registry || can(regex("^[0-9]+$", var.node_image)) || local.arch_of_types[var.control_type] == var.node_arch
      error_message = "control_type (${var.control_type}) must be of node_arch (${var.node_arch}), as it builds the image of nodes; else name one in a registry (node_runner_image), or a snapshot (node_image)."
    }
    precondition {
      condition     = length(setintersection(keys(var.settings), keys(local.settings))) == 0
      error_message = "settings must not repeat what variables of their own set: ${join(", ", setintersection(keys(var.settings), keys(local.settings)))}."
    }
    precondition {
      condition     = !local.s3_external || alltrue([for value in values(var.external_s3) : value != ""])
      error_message = "object_storage = external needs external_s3 = { url, region, bucket }."
    }
  }
}

resource "hcloud_volume_attachment" "data" {
  volume_id = hcloud_volume.data.id
  server_id = hcloud_server.control.id
  automount = false
}
