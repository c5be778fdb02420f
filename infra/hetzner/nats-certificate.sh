#!/bin/sh
# infra/hetzner/nats-certificate.sh [DIR]: makes in DIR (/etc/rgrid) what TLS of NATS needs, as far as it is not there:
#   nats-ca.pem, nats-ca/ca.key   a private CA, for 20 years; the key stays there, no container has it
#   nats-tls/server.{pem,key}     NATS's certificate of that CA, for 5 years, for PUBLIC_HOST of DIR/rgrid.env and the name nats (compose)
# The certificate is made anew for the same key when it lasts less than a year, is of another CA or for another host. May be repeated.
set -eu
umask 077
dir=${1:-/etc/rgrid}
ca=$dir/nats-ca.pem
ca_key=$dir/nats-ca/ca.key
certificate=$dir/nats-tls/server.pem
key=$dir/nats-tls/server.key

say() { printf 'nats-certificate: %s\n' "$1"; }

host=$(sed -n 's/^PUBLIC_HOST=//p' "$dir/rgrid.env")
case $host in
  '')
    say "PUBLIC_HOST, the address that nodes reach NATS at, is not set in $dir/rgrid.env" >&2
    exit 1
    ;;
  *:*) kind=IP verify=-verify_ip ;;
  *[!0-9.]*) kind=DNS verify=-verify_hostname ;;
  *) kind=IP verify=-verify_ip ;;
esac

# make_key FILE: a whole one or none.
make_key() {
  openssl ecparam -name prime256v1 -genkey -noout -out "$1.part"
  mv "$1.part" "$1"
}

# make_certificate FILE OPTION...: the same, with the extensions that come over standard input.
make_certificate() {
  file=$1
  shift
  openssl x509 -new -sha256 -extfile /dev/stdin -out "$file.part" "$@"
  chmod 0644 "$file.part"
  mv "$file.part" "$file"
}

is_good() {
  [ -s "$certificate" ] || return 1
  [ "$(openssl x509 -in "$certificate" -noout -pubkey)" = "$(openssl pkey -in "$key" -pubout)" ] || return 1
  openssl x509 -in "$certificate" -noout -checkend $((365 * 86400)) > /dev/null || return 1
  openssl verify -CAfile "$ca" -purpose sslserver "$verify" "$host" "$certificate" > /dev/null 2>&1
}

mkdir -p "$dir/nats-ca" "$dir/nats-tls"
if [ ! -s "$ca" ]; then
  make_key "$ca_key"
  printf '%s\n' basicConstraints=critical,CA:TRUE,pathlen:0 keyUsage=critical,keyCertSign,cRLSign subjectKeyIdentifier=hash |
    make_certificate "$ca" -key "$ca_key" -days 7300 -subj "/CN=RGrid NATS CA"
  say "made a CA"
fi
[ -s "$key" ] || make_key "$key"
if ! is_good; then
  openssl pkey -in "$key" -pubout -out "$key.pub"
  printf '%s\n' basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature extendedKeyUsage=serverAuth "subjectAltName=$kind:$host,DNS:nats" |
    make_certificate "$certificate" -CA "$ca" -CAkey "$ca_key" -force_pubkey "$key.pub" -days 1825 -subj "/CN=RGrid NATS"
  say "made a certificate for $host"
fi
