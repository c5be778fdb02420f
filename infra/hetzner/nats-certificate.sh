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

# make_certificate FILE MODE OPTION...: the same. The names stand in no configuration of the machine's.
make_certificate() {
  file=$1
  mode=$2
  shift 2
  printf '[req]\ndistinguished_name=name\n[name]\n' | openssl req -config /dev/stdin -x509 -new -sha256 -out "$file.part" "$@"
  chmod "$mode" "$file.part"
  mv "$file.part" "$file"
}

is_good() {
  [ -s "$certificate" ] || return 1
  openssl x509 -in "$certificate" -noout -checkend $((365 * 86400)) > /dev/null || return 1
  openssl verify -CAfile "$ca" -purpose sslserver "$verify" "$host" "$certificate" > /dev/null 2>&1
}

mkdir -p "$dir/nats-ca" "$dir/nats-tls"
if [ ! -s "$ca" ]; then
  make_key "$ca_key"
  make_certificate "$ca" 0644 -key "$ca_key" -days 7300 -subj "/CN=RGrid NATS CA" \
    -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign -addext subjectKeyIdentifier=hash
  say "made a CA"
fi
[ -s "$key" ] || make_key "$key"
if ! is_good; then
  make_certificate "$certificate" 0600 -CA "$ca" -CAkey "$ca_key" -key "$key" -days 1825 -subj "/CN=RGrid NATS" \
    -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature -addext extendedKeyUsage=serverAuth \
    -addext "subjectAltName=$kind:$host,DNS:nats"
  say "made a certificate for $host"
fi
