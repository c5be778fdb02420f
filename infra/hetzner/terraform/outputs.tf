output "control_address" {
  description = "For SSH and deploy.sh."
  value       = hcloud_server.control.ipv4_address
}

output "dns_records" {
  description = "To be made by hand where dns_zone is empty."
  value       = [for record in local.records : "${record.host} ${record.type} ${record.value}"]
}

output "api_url" {
  value = "https://${var.domain}"
}
