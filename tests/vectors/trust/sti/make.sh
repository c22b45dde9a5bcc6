#!/bin/sh
# Makes the files beside this script anew with the openssl command, in the current folder:
# root -> sub (range 12155550100 + 100) -> leaf (12155550150, attest must be A); root -> peer (SPC);
# direct.crl.pem by the root revokes sub, indirect.crl.pem by pa has an entry of pa's own.
set -e
export OPENSSL_CONF=/dev/null

root() { # name, subject
    openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
    printf '[req]\ndistinguished_name=dn\n[dn]\n[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n' >"$1.cnf"
    openssl req -x509 -new -key "$1.key" -subj "$2" -config "$1.cnf" -extensions ca -days 36500 -out "$1.pem"
}

issue() { # name, subject, issuer, serial, extensions
    openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
    openssl req -new -key "$1.key" -subj "$2" -out "$1.csr" -config root.cnf
    printf "[e]\n$5" >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA "$3.pem" -CAkey "$3.key" -set_serial "$4" -days 36500 \
        -extfile "$1.ext" -extensions e -out "$1.pem"
}

crl() { # name, issuer, index, extensions
    printf "$3" >"$1.idx"
    echo 1000 >"$1.num"
    printf "[ca]\ndefault_ca=c\n[c]\ndatabase=$1.idx\ncrlnumber=$1.num\ndefault_md=sha256\ncrl_extensions=x\n[x]\n$4" >"$1.cnf"
    openssl ca -gencrl -config "$1.cnf" -keyfile "$2.key" -cert "$2.pem" -crldays 36000 -out "$1.crl.pem"
}

authority='basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n'
end='basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n'
numbers='1.3.6.1.5.5.7.1.26=ASN1:SEQUENCE:tn\n'
claims='1.3.6.1.5.5.7.1.27=ASN1:SEQUENCE:cc\n'
point='crlDistributionPoints=dp\n[dp]\nfullname=URI:https://pa.example/crl\nCRLissuer=dirName:pa\n[pa]\nO=Vector\nCN=STI-PA\n'
attest='[cc]\na=EXPLICIT:0,SEQUENCE:mi\nb=EXPLICIT:1,SEQUENCE:pv\n[mi]\na=IA5STRING:attest\n[pv]\na=SEQUENCE:p\n[p]\nc=IA5STRING:attest\nv=SEQUENCE:vs\n[vs]\na=UTF8:A\n'

root root /O=Vector/CN=Root
root pa /O=Vector/CN=STI-PA
issue sub '/O=Vector/CN=Sub CA' root 16 \
    "$authority$numbers$point[tn]\na=EXPLICIT:1,SEQUENCE:r\n[r]\ns=IA5STRING:12155550100\nc=INTEGER:100\n"
issue leaf /O=Vector/CN=Delegate sub 17 \
    "$end$numbers$claims$point[tn]\na=EXPLICIT:2,IA5STRING:12155550150\n$attest"
issue peer /O=Vector/CN=Peer root 17 "$end$numbers$point[tn]\na=EXPLICIT:0,IA5STRING:1234\n"
crl direct root 'R\t21260101000000Z\t260601120000Z,keyCompromise\t10\tunknown\t/CN=x\n' \
    'authorityKeyIdentifier=keyid\n'
crl indirect pa 'R\t21260101000000Z\t260601120000Z\t11\tunknown\t/CN=x\n' \
    'issuingDistributionPoint=critical,@i\n[i]\nindirectCRL=TRUE\n'
