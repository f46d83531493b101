# Holdfast's image: one static program, the certificates of public authorities, and no shell.
FROM golang:1.26 AS build
WORKDIR /src
COPY hack/newest hack/newest
RUN GOWORK=off go -C hack/newest mod download
COPY . .
ARG VERSION=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /holdfast ./cmd/holdfast

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /holdfast /holdfast
USER 65532:65532
ENTRYPOINT ["/holdfast"]
