locals {
  records = merge([
    for host in [var.domain, local.s3_domain] : {
      "${host}/A"    = { host = host, type = "A", value = hcloud_server.control.ipv4_address }
      "${host}/AAAA" = { host = host, type = "AAAA", value = hcloud_server.control.ipv6_address }
    }
  ]...)
}

resource "hcloud_zone_rrset" "control" {
  for_each = { for key, record in local.records : key => record if var.dns_zone != "" }
  zone     = var.dns_zone
  name     = each.value.host == var.dns_zone ? "@" : trimsuffix(each.value.host, ".${var.dns_zone}")
  type     = each.value.type
  ttl      = 300
  records  = [{ value = each.value.value }]
}
