terraform {
  required_version = ">= 1.6"
  required_providers {
    hcloud = {
      source  = "hetznercloud/hcloud"
      version = "~> 1.57"
    }
  }
}

# The token is read from the variable HCLOUD_TOKEN, so that it is in no file and in no state.
provider "hcloud" {}
