#!/bin/sh
# Certificates of the lab: a CA of its own and, signed by it, the gateway's ECDSA and RSA
# certificates, and an agent's and the gateway's for the node side.
#   sh platform/lab/certificates.sh DIR
set -eu
umask 077
mkdir -p "$1"
cd "$1"

names=DNS:gateway.lab,DNS:localhost,IP:198.18.0.2,IP:fd18::2,IP:127.0.0.1

make() { # NAME KEY-ALGORITHM OPTION SUBJECT ARGUMENTS...
    name=$1
    algorithm=$2
    option=$3
    subject=$4
    shift 4
    openssl req -x509 -nodes -days 30 -newkey "$algorithm" -pkeyopt "$option" \
        -keyout "$name.key" -out "$name.pem" -subj "/CN=$subject" "$@" 2>>openssl.log
}
leaf() { # NAME KEY-ALGORITHM OPTION SUBJECT NAMES
    make "$1" "$2" "$3" "$4" -CA ca.pem -CAkey ca.key -addext "subjectAltName=$5" \
        -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature
}

make ca ec ec_paramgen_curve:P-256 "terminal gateway lab CA" \
    -addext keyUsage=critical,keyCertSign,cRLSign
leaf gateway ec ec_paramgen_curve:P-256 gateway.lab "$names"
leaf gateway-rsa rsa rsa_keygen_bits:2048 gateway.lab "$names"
leaf agent ec ec_paramgen_curve:P-256 agent.lab IP:198.18.1.1
leaf gateway-agent ec ec_paramgen_curve:P-256 gateway.lab "DNS:gateway.lab"
chmod 755 .
chmod 644 ca.pem
