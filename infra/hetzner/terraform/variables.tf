variable "installation" {
  description = "Name of this installation: part of every name, and the label by which its machines are known. Two installations in one project need two names."
  type        = string
  default     = "rgrid"
  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$", var.installation))
    error_message = "installation must be 1 to 20 of a-z, 0-9 and -, beginning and ending with a letter or digit."
  }
}

variable "domain" {
  description = "The API is served at this name, the object store at s3.<name>; both with certificates of Let's Encrypt."
  type        = string
  validation {
    condition     = can(regex("^([a-z0-9-]+\\.)+[a-z]{2,}$", var.domain))
    error_message = "domain must be a name such as grid.example.com."
  }
}

variable "dns_zone" {
  description = "Zone in Hetzner DNS, of this project, that the domain is in; the records are made there. Empty: make them yourself (output dns_records)."
  type        = string
  default     = ""
}

variable "location" {
  description = "Where the control server is: fsn1, nbg1 or hel1 (one network spans them), ash, hil or sin."
  type        = string
  default     = "fsn1"
  validation {
    condition     = contains(["fsn1", "nbg1", "hel1", "ash", "hil", "sin"], var.location)
    error_message = "location must be one of fsn1, nbg1, hel1, ash, hil, sin."
  }
}

variable "node_locations" {
  description = "Where nodes may be bought, in the order to be tried. They must be in the network zone of the control server."
  type        = list(string)
  default     = ["fsn1", "nbg1", "hel1"]
  validation {
    condition     = length(var.node_locations) > 0
    error_message = "node_locations must name at least one location."
  }
}

variable "node_types" {
  description = "Types of nodes, in the order to be tried. cax… are Arm: they are bought with node_arch = arm64, and the others are not."
  type        = list(string)
  default     = ["cx23", "cx33", "cpx22"]
  validation {
    condition     = length(var.node_types) > 0
    error_message = "node_types must name at least one type."
  }
}

variable "node_arch" {
  description = "Architecture of nodes, and of the images of jobs: amd64 or arm64. With arm64 the control server should be Arm, too (control_type = cax21), as it builds the image of nodes."
  type        = string
  default     = "amd64"
  validation {
    condition     = contains(["amd64", "arm64"], var.node_arch)
    error_message = "node_arch must be amd64 or arm64."
  }
}

variable "node_image" {
  description = "Image that nodes boot from: debian-13, or the id of a snapshot of node_arch (infra/hetzner/snapshot), which is ready much sooner."
  type        = string
  default     = "debian-13"
}

variable "node_runner_image" {
  description = "Container image of the node-runner. Without a registry in its name it is built on the control server, which nodes load it from; with one (ghcr.io/…) nodes pull it."
  type        = string
  default     = "rgrid/node-runner:0.1.0"
}

variable "max_nodes" {
  description = "The most machines at any time. Hetzner's limit of your account must be higher by one."
  type        = number
  default     = 10
  validation {
    condition     = var.max_nodes >= 1 && var.max_nodes <= 95 && floor(var.max_nodes) == var.max_nodes
    error_message = "max_nodes must be a whole number from 1 to 95: a network takes 100 servers."
  }
}

variable "max_euros_per_hour" {
  description = "What all nodes together may cost in an hour, in EUR, net."
  type        = number
  default     = 0.25
  validation {
    condition     = var.max_euros_per_hour > 0
    error_message = "max_euros_per_hour must be more than 0."
  }
}

variable "settings" {
  description = "More settings of the scheduler, by their names in docs/CONFIGURATION.md without RGRID_, such as { MIN_NODES = \"1\" }. Written once; later they are changed in /etc/rgrid/rgrid.env."
  type        = map(string)
  default     = {}
  validation {
    condition     = alltrue([for name, value in var.settings : can(regex("^[A-Z][A-Z0-9_]*$", name)) && can(regex("^[!-~ ]*$", value))])
    error_message = "settings must be a map of names such as MIN_NODES to values of one line."
  }
}

variable "control_type" {
  description = "Type of the control server: Postgres, NATS, gateway, scheduler and, with object_storage = server, the object store."
  type        = string
  default     = "cx33"
}

variable "ssh_public_key" {
  description = "Public key of whoever sets the control server up, such as the text of ~/.ssh/id_ed25519.pub."
  type        = string
  validation {
    condition     = can(regex("^(ssh-ed25519|ssh-rsa|ecdsa-sha2-|sk-)", var.ssh_public_key))
    error_message = "ssh_public_key must be the text of a public key: ssh-ed25519 AAAA…"
  }
}

variable "ssh_from" {
  description = "Networks that may reach SSH on the control server."
  type        = list(string)
  validation {
    condition     = length(var.ssh_from) > 0 && alltrue([for network in var.ssh_from : can(cidrhost(network, 0))])
    error_message = "ssh_from must be a list of networks such as [\"203.0.113.7/32\"]."
  }
}

variable "object_storage" {
  description = "server: in compose, on the volume of the control server. external: any S3, such as Hetzner Object Storage (external_s3)."
  type        = string
  default     = "server"
  validation {
    condition     = contains(["server", "external"], var.object_storage)
    error_message = "object_storage must be server or external."
  }
}

variable "external_s3" {
  description = "With object_storage = external: where it is. Its keys go into /etc/rgrid/s3-access-key and s3-secret-key by hand, not through Terraform's state."
  type        = object({ url = string, region = string, bucket = string })
  default     = { url = "", region = "", bucket = "" }
}

variable "data_gigabytes" {
  description = "Size of the volume that holds Postgres, NATS and the object store. It can grow, not shrink."
  type        = number
  default     = 50
  validation {
    condition     = var.data_gigabytes >= 10 && var.data_gigabytes <= 10240
    error_message = "data_gigabytes must be from 10 to 10240."
  }
}

variable "backups" {
  description = "Hetzner's daily backups of the control server, for a fifth of its price. They do not hold the volume: docs/deploy-hetzner.md says how to back that up."
  type        = bool
  default     = true
}

variable "ipv4_nodes" {
  description = "Whether nodes get a public IPv4 address, which is paid for. Without it they reach only what has IPv6: not every registry has."
  type        = bool
  default     = true
}
